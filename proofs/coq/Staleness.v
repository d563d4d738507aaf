(* What wrong scores cost.                                                    *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex Surrogate.
From OrderDP Require Import Gap Vectors Convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* kappa = TV(gamma/q, gamma/q reversed): rank j + 1 against rank n - j.      *)
Definition ranking_sensitivity {R : realFieldType} (n s q : nat) : R :=
  (\sum_(j < n) `|gamma n s q j.+1 - gamma n s q (n - j)|) / (2%:R * q%:R).

(* Weights that do not rise, given out by two rankings, differ most when one  *)
(* ranking reverses the other: compare both with the weight in the middle.    *)
Lemma reversed_most {R : realFieldType} n (a : 'I_n -> R) (rho rho' : {perm 'I_n}) :
  (forall i j : 'I_n, (i <= j)%N -> a j <= a i) ->
  \sum_i `|a (rho i) - a (rho' i)| <= \sum_j `|a j - a (rev_ord j)|.
Proof.
case: n a rho rho' => [|n] a rho rho' a_anti; first by rewrite !big_ord0.
have low : (n./2 + n./2 <= n)%N.
  by rewrite addnn -[X in (_ <= X)%N]odd_double_half leq_addl.
have high : (n <= n./2.+1 + n./2)%N.
  by rewrite -{1}(odd_double_half n) -addnn addSn -add1n leq_add2r; case: odd.
have mid : (n./2 < n.+1)%N by rewrite ltnS (leq_trans (leq_addr _ _) low).
pose c := a (Ordinal mid).
apply: (@le_trans _ _ (\sum_j `|a j - c| + \sum_j `|a j - c|)).
  rewrite [X in _ <= X + _](reindex_inj (@perm_inj _ rho)).
  rewrite [X in _ <= _ + X](reindex_inj (@perm_inj _ rho')).
  rewrite -big_split /=; apply: ler_sum => i _.
  by rewrite [X in _ <= _ + X]distrC; apply: ler_dist_add.
rewrite [X in _ + X](reindex_inj rev_ord_inj) -big_split /=; apply: ler_sum => j _.
have [jm|mj] := leqP j n./2.
  have ca : c <= a j by apply: a_anti.
  have ac : a (rev_ord j) <= c.
    apply: a_anti; rewrite /= subSS leq_subRL; last by rewrite -ltnS.
    exact: leq_trans (leq_add jm (leqnn _)) low.
  rewrite (ger0_norm (_ : 0 <= a j - c)) ?subr_ge0 // ler0_norm ?subr_le0 // opprB.
  by rewrite addrA subrK ler_norm.
have ca : a j <= c by apply: a_anti; apply: ltnW.
have ac : c <= a (rev_ord j).
  apply: a_anti; rewrite /= subSS leq_subLR.
  exact: leq_trans high (leq_add mj (leqnn _)).
rewrite (ler0_norm (_ : a j - c <= 0)) ?subr_le0 // ger0_norm ?subr_ge0 // opprB.
by rewrite addrC addrA subrK distrC ler_norm.
Qed.

(* The scores h rank as badly as they differ from the losses x.               *)
Lemma score_error_sum {R : realFieldType} n s q (rho rho' : {perm 'I_n}) (x h : 'I_n -> R) :
  (q <= s)%N -> (s <= n)%N -> ranks rho' h ->
  q%:R^-1 * (\sum_(i < n) gamma n s q (rho i).+1 * x i)
  - q%:R^-1 * (\sum_(i < n) gamma n s q (rho' i).+1 * x i)
  <= q%:R^-1 * \sum_(i < n) `|gamma n s q (rho i).+1 - gamma n s q (rho' i).+1| * `|h i - x i|.
Proof.
move=> qs sn rho_h; rewrite -mulrBr -sumrB.
have := ranked_sum_max rho qs sn rho_h.
rewrite -subr_ge0 -mulrBr -sumrB => h_le; rewrite -subr_ge0.
apply: le_trans h_le _; rewrite -mulrBr ler_wpmul2l ?invr_ge0 ?ler0n // -sumrB.
apply: ler_sum => i _; rewrite -normrM -!mulrBl ler_subr_addr -opprB mulNr addrC -mulrBr.
by rewrite -normrN -mulrN opprB ler_norm.
Qed.

Theorem stale_penalty {R : realFieldType} (n s q d : nat) (delta : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n}) (t : 'rV[R]_d)
    (rho : {perm 'I_n}) (h : 'I_n -> R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  ranks rho h -> (forall i, `|h i - L i t| <= delta) ->
  surrogate s q order L t - 2%:R * ranking_sensitivity n s q * delta
  <= surrogate s q (fun=> rho) L t.
Proof.
move=> q_gt0 qs sn rho_h near; rewrite ler_subl_addl -ler_subl_addr.
apply: le_trans (score_error_sum (order t) (L^~ t) qs sn rho_h) _.
apply: (@le_trans _ _ (q%:R^-1 * \sum_(i < n)
    `|gamma n s q (order t i).+1 - gamma n s q (rho i).+1| * delta)).
  rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum => i _.
  exact: (ler_wpmul2l (normr_ge0 _)).
have n_gt0 : (0 < n)%N by apply: leq_trans q_gt0 (leq_trans qs sn).
have delta0 : 0 <= delta by apply: le_trans (near (Ordinal n_gt0)); apply: normr_ge0.
have most := @reversed_most R n (fun j => gamma n s q j.+1) (order t) rho.
rewrite -mulr_suml mulrA ler_wpmul2r // /ranking_sensitivity invfM mulrC !mulrA.
rewrite [2%:R * _]mulrC mulfK ?pnatr_eq0 // ler_wpmul2r ?invr_ge0 ?ler0n //.
apply: le_trans (most _) _ => [i j ij|].
  by apply: gamma_antitone; rewrite // ltnS ij ltn_ord.
by apply: ler_sum => j _; rewrite /= subnSK.
Qed.

(* Every weight is between 0 and s / (n q).                                   *)
Theorem score_error_mean {R : realFieldType} (n s q d : nat)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n}) (t : 'rV[R]_d)
    (rho : {perm 'I_n}) (h : 'I_n -> R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> ranks rho h ->
  surrogate s q order L t - s%:R / q%:R * (n%:R^-1 * \sum_(i < n) `|h i - L i t|)
  <= surrogate s q (fun=> rho) L t.
Proof.
move=> q_gt0 qs sn rho_h; rewrite ler_subl_addl -ler_subl_addr.
apply: le_trans (score_error_sum (order t) (L^~ t) qs sn rho_h) _.
rewrite mulrA [s%:R / q%:R / n%:R]mulrAC [s%:R / n%:R / q%:R]mulrC -mulrA.
rewrite ler_wpmul2l ?invr_ge0 ?ler0n // mulr_sumr; apply: ler_sum => i _.
apply: (ler_wpmul2r (normr_ge0 _)); rewrite ler_norml.
have le k : gamma n s q (k : 'I_n).+1 <= s%:R / n%:R :> R by apply: weight_le; rewrite ?ltn_ord.
have le1 := le (rho i); have le2 := le (order t i); rewrite ler_subr_addl ler_subl_addl.
apply/andP; split; first by rewrite (le_trans le1) // ler_addl gamma_ge0.
by rewrite ler_subl_addr (le_trans le2) // ler_addl gamma_ge0.
Qed.

(* ************************************************************************** *)
(* Theorem 3 for scores that are not fresh                                    *)
(* ************************************************************************** *)

Lemma expected_averageD {R : realFieldType} n s (eta : nat -> R) T
    (F F' : seq {set 'I_n} -> R) :
  expected_average s eta T (fun past => F past + F' past)
  = expected_average s eta T F + expected_average s eta T F'.
Proof.
rewrite /expected_average -mulrDr -big_split /=; congr (_ * _); apply: eq_bigr => t _.
rewrite -mulrDr; congr (_ * _).
pose f (c : T.-tuple {set 'I_n}) : R^o := F (take t c).
pose f' (c : T.-tuple {set 'I_n}) : R^o := F' (take t c).
exact: (mean_add _ f f').
Qed.

Lemma penalized_average {R : realFieldType} n s q d T (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) order rho g theta (star : 'rV[R]_d)
    (penalty : seq {set 'I_n} -> R) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta ->
  sqnorm (theta [::] - star) <= D2 ->
  (forall past, surrogate s q order L (theta past) - penalty past
                <= surrogate s q (fun=> rho past) L (theta past)) ->
  expected_average s eta T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta T + expected_average s eta T penalty.
Proof.
move=> qs sn T_gt0 eta_gt0 G0 LG order_L run gL startD pen.
pose F past := surrogate s q (fun=> rho past) L (theta past)
               - surrogate s q (fun=> rho past) L star.
apply: (@le_trans _ _ (expected_average s eta T (fun past => F past + penalty past))).
  apply: le_expected_average => // past; rewrite /F addrAC ler_sub //.
    by rewrite -ler_subl_addr.
  exact: weighted_le_surrogate.
rewrite expected_averageD ler_add2r.
exact: any_ranking_average run gL startD.
Qed.

Theorem theorem3_score_error {R : realFieldType} (n s q d T : nat) (eta : nat -> R)
    (D2 G : R) (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (H : seq {set 'I_n} -> 'I_n -> R)
    (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> ranked_by rho H ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta T
     + expected_average s eta T (fun past =>
         s%:R / q%:R * (n%:R^-1 * \sum_(i < n) `|H past i - L i (theta past)|)).
Proof.
move=> q_gt0 qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_H startD.
apply: penalized_average run gL startD _ => // past.
exact: score_error_mean (rho_H past).
Qed.

Theorem theorem3_stale {R : realFieldType} (n s q d T : nat) (eta delta : nat -> R)
    (D2 G : R) (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (H : seq {set 'I_n} -> 'I_n -> R)
    (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> ranked_by rho H ->
  (forall past i, `|H past i - L i (theta past)| <= delta (size past)) ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta T
     + 2%:R * ranking_sensitivity n s q * (\sum_(t < T) eta t * delta t)
       / \sum_(t < T) eta t.
Proof.
move=> q_gt0 qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_H near startD.
pose penalty (past : seq {set 'I_n}) := 2%:R * ranking_sensitivity n s q * delta (size past) : R.
have pen past : surrogate s q order L (theta past) - penalty past
                <= surrogate s q (fun=> rho past) L (theta past).
  exact: stale_penalty (rho_H past) (near past).
apply: le_trans (penalized_average qs sn T_gt0 eta_gt0 G0 LG order_L run gL startD pen) _.
rewrite ler_add2l /expected_average mulrC.
apply: ler_wpmul2r.
  by rewrite invr_ge0; apply: sumr_ge0 => t _; apply: ltW.
rewrite mulr_sumr; apply: ler_sum => t _; rewrite [X in _ <= X]mulrCA;
  apply: (ler_wpmul2l (ltW (eta_gt0 t))).
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
rewrite -[X in _ <= X](@mean_const R _ [lmodType R of R^o] _ _ (sequences_gt0 T X_gt0)).
by apply: mean_le => c _; rewrite /penalty size_takel // size_tuple ltnW.
Qed.

(* Between step u and now the vector has moved by at most G times the sum of  *)
(* the step sizes.                                                            *)
Lemma drift {R : realFieldType} n d q (eta : nat -> R) (G : R) (L : 'I_n -> 'rV[R]_d -> R)
    rho g theta (past : seq {set 'I_n}) u :
  (forall t, 0 < eta t) -> 0 <= G -> (forall i, lipschitz G (L i)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> (u <= size past)%N ->
  sqnorm (theta past - theta (take u past)) <= (G * \sum_(u <= k < size past) eta k) ^+ 2.
Proof.
move=> eta_gt0 G0 LG run gL; elim/last_ind: past => [|past S IH]; rewrite ?size_rcons.
  by rewrite subrr sqnorm0 sqr_ge0.
rewrite leq_eqVlt => /predU1P[->|].
  by rewrite -(size_rcons past S) take_size subrr sqnorm0 sqr_ge0.
rewrite ltnS => us; rewrite -cats1 takel_cat // cats1 big_nat_recr //= mulrDr run addrAC.
have sum0 : 0 <= \sum_(u <= k < size past) eta k by apply: sumr_ge0 => k _; apply: ltW.
apply: sqnormD_le; rewrite ?mulr_ge0 ?(ltW (eta_gt0 _)) ?IH //.
rewrite sqnormN sqnormZ [G * _]mulrC exprMn; apply: (ler_wpmul2l (sqr_ge0 _)).
apply: sqnorm_mean => // [i|]; first exact: subgradient_sqnorm (LG i) (gL past i).
have [qS|/ltnW Sq] := leqP q #|S|; first by rewrite card_top_by.
apply: leq_trans (subset_leq_card _) Sq.
by apply/subsetP => i; rewrite inE => /andP[].
Qed.

(* Scores at most tau steps old: each is the loss at one of the last tau + 1  *)
(* vectors.                                                                   *)
Theorem theorem3_age {R : realFieldType} (n s q d T tau : nat) (eta : nat -> R)
    (D2 G : R) (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (H : seq {set 'I_n} -> 'I_n -> R)
    (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> ranked_by rho H ->
  (forall past i, exists2 u, (size past - tau <= u <= size past)%N
     & H past i = L i (theta (take u past))) ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta T
     + 2%:R * ranking_sensitivity n s q
       * (\sum_(t < T) eta t * (G ^+ 2 * \sum_(t - tau <= k < t) eta k))
       / \sum_(t < T) eta t.
Proof.
move=> q_gt0 qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_H age startD.
apply: (theorem3_stale (delta := fun t => G ^+ 2 * \sum_(t - tau <= k < t) eta k)
  q_gt0 qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_H _ startD) => past i.
have [u /andP[old us] ->] := age past i.
have sum0 v : 0 <= \sum_(v <= k < size past) eta k by apply: sumr_ge0 => k _; apply: ltW.
have moved := drift eta_gt0 G0 LG run gL us.
apply: (@le_trans _ _ (G * (G * \sum_(u <= k < size past) eta k))).
  rewrite ler_norml ler_oppl opprB; apply/andP; split.
    exact: lipschitz_le (mulr_ge0 G0 (sum0 u)) (LG i) moved.
  by apply: lipschitz_le (mulr_ge0 G0 (sum0 u)) (LG i) _; rewrite // -sqnormN opprB.
rewrite expr2 -mulrA; do 2!apply: (ler_wpmul2l G0).
by rewrite (big_cat_nat _ _ _ old us) /= ler_addr; apply: sumr_ge0 => k _; apply: ltW.
Qed.
