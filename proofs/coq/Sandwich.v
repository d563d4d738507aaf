(* The surrogate lies between the mean and the CVaR, and near the CVaR.       *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Gap Variance Vectors Transfer.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* How much of the sample at place j is in the worst q / s share of the n:    *)
(* all of it, nothing or, once if n q / s is not an integer, a part.          *)
Definition worst_share {R : realFieldType} (n s q j : nat) : R :=
  Num.min 1 (Num.max 0 ((n * q)%:R / s%:R - j%:R)).

(* The CVaR at level q / s: the mean of the worst q / s share of the losses.  *)
Definition cvar {R : realFieldType} {n : nat} (s q : nat) (rho : {perm 'I_n})
    (x : 'I_n -> R) : R :=
  s%:R / (q%:R * n%:R) * \sum_(i < n) worst_share n s q (rho i) * x i.

Lemma worst_share_sum {R : realFieldType} n s q k :
  \sum_(j < k) worst_share n s q j = Num.min k%:R ((n * q)%:R / s%:R) :> R.
Proof.
rewrite /worst_share; set mass := _ / _; have mass0 : 0 <= mass by rewrite divr_ge0 ?ler0n.
elim: k => [|k IH]; first by rewrite big_ord0 min_l.
rewrite big_ord_recr /= IH -addn1 natrD; case: (leP mass k%:R) => [mk|km].
  rewrite max_l ?subr_le0 // min_r ?ler01 // addr0 min_r //.
  by apply: le_trans mk _; rewrite ler_addl ler01.
rewrite max_r ?subr_ge0 1?ltW //; case: (leP 1 (mass - k%:R)) => [one|part].
  by rewrite min_l // addrC -ler_subr_addr.
by rewrite addrC subrK min_r // addrC -ler_subl_addr ltW.
Qed.

(* Values sorted downwards, and weights of sum 0 whose partial sums are not   *)
(* negative and at most W (Abel's summation).                                 *)
Lemma abel_bounds {R : realFieldType} n (a y : nat -> R) W :
  \sum_(j < n.+1) a j = 0 -> (forall k, (k < n)%N -> y k.+1 <= y k) ->
  (forall k, (k <= n)%N -> 0 <= \sum_(j < k) a j <= W) ->
  0 <= \sum_(j < n.+1) a j * y j <= W * (y 0%N - y n).
Proof.
move=> a0 y_anti partial.
have -> : \sum_(j < n.+1) a j * y j = \sum_(k < n) (y k - y k.+1) * \sum_(j < k.+1) a j.
  transitivity (\sum_(j < n.+1) (a j * y n
      + \sum_(k < n) (y k - y k.+1) * (a j * (j <= k)%N%:R))).
    apply: eq_bigr => j _; rewrite {1}(sum_drops y (ltnSE (ltn_ord j))) mulrDr mulr_sumr.
    by congr (_ + _); apply: eq_bigr => k _; rewrite mulrCA.
  rewrite big_split /= -mulr_suml a0 mul0r add0r exchange_big; apply: eq_bigr => k _ /=.
  rewrite -mulr_sumr (big_ord_widen n.+1 a) 1?ltnW ?ltnS // [in RHS]big_mkcond; congr (_ * _).
  by apply: eq_bigr => j _; rewrite ltnS; case: leqP; rewrite ?mulr1 ?mulr0.
have -> : W * (y 0%N - y n) = \sum_(k < n) (y k - y k.+1) * W.
  rewrite -mulr_suml (sum_drops y (leq0n n)) addrAC subrr add0r mulrC; congr (_ * _).
  by apply: eq_bigr => k _; rewrite mulr1.
apply/andP; split; [apply: sumr_ge0 | apply: ler_sum] => k _;
  have /andP[ge0 leW] := partial _ (ltn_ord k);
  by [rewrite mulr_ge0 ?subr_ge0 ?y_anti | rewrite ler_wpmul2l ?subr_ge0 ?y_anti].
Qed.

(* How many of S are among the first k ranks.                                 *)
Definition before {n : nat} (k : nat) (S : {set 'I_n}) : nat :=
  #|[set i in S | (i < k)%N]|.

(* Of them the first q are kept.                                              *)
Lemma before_top n q k (S : {set 'I_n}) : before k (top q S) = minn q (before k S).
Proof.
rewrite /before; set A := [set i in S | (i < k)%N].
have -> : [set i in top q S | (i < k)%N] = top q A.
  apply/setP => i; rewrite !inE andbAC; case: (boolP ((i \in S) && (i < k)%N)) => //= /andP[_ ik].
  congr (_ < q)%N; apply: eq_card => l; rewrite !inE.
  by case: (ltnP l i) => [li|]; rewrite ?andbF // (ltn_trans li ik) !andbT.
case: (leqP q #|A|) => [/card_top //|/ltnW Aq]; apply: eq_card => i; rewrite inE.
case iA: (i \in A) => //=; apply: leq_trans Aq; apply/proper_card/properP; split.
  by apply/subsetP => l; rewrite inE => /andP[].
by exists i; rewrite // inE ltnn andbF.
Qed.

Lemma beforeE {R : realFieldType} n k (S : {set 'I_n}) :
  (before k S)%:R = \sum_(i < n | (i < k)%N) (i \in S)%:R :> R.
Proof.
rewrite /before -sum1_card natr_sum big_mkcond [RHS]big_mkcond; apply: eq_bigr => i _ /=.
by rewrite inE; case: (i \in S); case: (i < k)%N.
Qed.

Lemma gamma_sum {R : realFieldType} n s q k : (q <= s)%N -> (s <= n)%N -> (k <= n)%N ->
  \sum_(j < k) gamma n s q j.+1
  = mean (candidates n s) (fun S => Num.min q%:R (before k S)%:R : R^o) :> R.
Proof.
move=> qs sn kn; rewrite (big_ord_widen n (fun j => gamma n s q j.+1) kn) /=.
transitivity (mean (candidates n s) (fun S => (before k (top q S))%:R : R^o) : R); last first.
  apply: (@eq_mean R _ [lmodType R of R^o]) => S _; rewrite before_top.
  by case: leqP => le; [rewrite min_l ?ler_nat | rewrite min_r // ler_nat ltnW].
under eq_mean => S _ do rewrite beforeE.
rewrite mean_sum; apply: eq_bigr => j _.
by rewrite -inclusion_probability // Pr_mean.
Qed.

(* Whether i and whether j is a candidate.                                    *)
Lemma candidates_covariance {R : realFieldType} n s (i j : 'I_n) (p : R) :
  (1 < n)%N -> (s <= n)%N -> p = s%:R / n%:R ->
  (mean (candidates n s) (fun S => ((i \in S)%:R - p) * ((j \in S)%:R - p) : R^o) : R)
  = p * ((n - s)%:R / (n - 1)%:R) * ((j == i)%:R - n%:R^-1).
Proof.
move=> n1 sn pE; have n_gt0 := ltnW n1.
have n0 : n%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have n10 : (n - 1)%:R != 0 :> R by rewrite pnatr_eq0 subn_eq0 -ltnNge.
rewrite mean_deviations ?card_candidates ?bin_gt0 // !Pr_candidate // -pE mulNr addNr addr0.
rewrite -mulrA; case: eqP => [->|/eqP ij].
  rewrite (@eq_Pr _ _ _ _ (fun S : {set 'I_n} => i \in S)) => [|S _]; last exact: andbb.
  rewrite Pr_candidate // -pE -[X in X - _]mulr1 -mulrBr; congr (_ * _).
  have -> : 1 - n%:R^-1 = (n - 1)%:R / n%:R :> R by rewrite natrB // mulrBl divff // mul1r.
  by rewrite mulrA divfK // pE natrB // mulrBl divff.
rewrite Pr_draws_both ?inE ?cardsT ?card_ord 1?eq_sym // pE sub0r mulrN -mulf_div -!mulrBr.
rewrite -[n%:R - 1](natrB _ n_gt0); congr (_ * _).
rewrite -[- (s%:R / _)]mulNr addf_div // -[_ / _ / n%:R]mulrA -invfM -mulNr.
congr (_ / _).
rewrite !natrB // mulNr mulrBl mul1r mulrBr mulr1 !opprB.
by rewrite addrC addrA subrK.
Qed.

(* A sum over the samples before place k.                                     *)
Lemma sum_before (V : zmodType) n k (v : V) : (k <= n)%N ->
  \sum_(i < n | (i < k)%N) v = v *+ k.
Proof. by move=> kn; rewrite -(big_ord_widen n (fun=> v) kn) sumr_const card_ord. Qed.

Lemma before_deviation {R : realFieldType} n k (S : {set 'I_n}) (p : R) : (k <= n)%N ->
  (before k S)%:R - k%:R * p = \sum_(i < n | (i < k)%N) ((i \in S)%:R - p).
Proof. by move=> kn; rewrite sumrB sum_before // beforeE mulr_natl. Qed.

Lemma before_mean {R : realFieldType} n s k : (s <= n)%N -> (k <= n)%N ->
  (mean (candidates n s) (fun S => (before k S)%:R : R^o) : R) = k%:R * (s%:R / n%:R).
Proof.
move=> sn kn; under eq_mean => S _ do rewrite beforeE.
rewrite mean_sum mulr_natl -(sum_before _ kn); apply: eq_bigr => i _.
by rewrite -Pr_mean Pr_candidate.
Qed.

Lemma before_variance {R : realFieldType} n s k (p : R) :
  (1 < n)%N -> (s <= n)%N -> (k <= n)%N -> p = s%:R / n%:R ->
  (mean (candidates n s) (fun S => ((before k S)%:R - k%:R * p) ^+ 2 : R^o) : R)
  = (n - s)%:R / (n - 1)%:R * (k%:R * p * (1 - k%:R / n%:R)).
Proof.
move=> n1 sn kn pE; set c := _ / _.
under eq_mean => S _ do rewrite before_deviation // expr2 mulr_suml.
rewrite mean_sum; under eq_bigr => i _.
  under eq_mean => S _ do rewrite mulr_sumr.
  rewrite mean_sum; under eq_bigr => j _ do rewrite candidates_covariance //.
  over.
rewrite -/c; transitivity (\sum_(i < n | (i < k)%N) p * c * (1 - k%:R / n%:R)).
  apply: eq_bigr => i ik; rewrite -mulr_sumr sumrB sum_before // mulr_natl; congr (_ * (_ - _)).
  by rewrite (bigD1 i ik) /= eqxx big1 ?addr0 // => j /andP[_ /negPf->].
by rewrite sum_before // -[LHS]mulr_natl [LHS]mulrA [RHS]mulrA [c * _]mulrC [k%:R * (p * c)]mulrA.
Qed.

(* The number of candidates among the first k is near its mean, and so from q *)
(* not much farther than its mean is.                                         *)
Lemma before_near {R : realFieldType} n s q k (dev : R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (k <= n)%N -> 0 <= dev ->
  dev ^+ 2 = (n - s)%:R / (n - 1)%:R * (q%:R * (1 - q%:R / s%:R)) ->
  (mean (candidates n s) (fun S => `|q%:R - (before k S)%:R| : R^o) : R)
  <= `|q%:R - k%:R * (s%:R / n%:R)| + dev.
Proof.
move=> q_gt0 qs sn kn dev0 devE; have s_gt0 := leq_trans q_gt0 qs.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
have m_mean := @before_mean R n s k sn kn; set m := k%:R * _ in m_mean *.
have before_le S : S \in candidates n s -> (before k S <= s)%N.
  rewrite in_drawsT => /eqP <-; apply: subset_leq_card.
  by apply/subsetP => i; rewrite inE => /andP[].
move: qs; rewrite leq_eqVlt => /predU1P[qE|qs].
  rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
    (fun S => (q%:R : R^o) + (- 1) *: ((before k S)%:R : R^o))) => [|S SX].
    rewrite mean_add mean_const // mean_scale m_mean scaleN1r.
    by apply: le_trans (ler_norm _) _; rewrite ler_addl.
  by rewrite scaleN1r ger0_norm // subr_ge0 ler_nat qE before_le.
have sR : 0 < s%:R :> R by rewrite ltr0n.
set c := _ / _ in devE; have c0 : 0 <= c by rewrite divr_ge0 ?ler0n.
have n1 : (1 < n)%N by apply: leq_trans sn; apply: leq_ltn_trans qs.
have c1 : c <= 1 by rewrite ler_pdivr_mulr ?ltr0n ?subn_gt0 // mul1r ler_nat leq_sub2l.
have c_dev : c <= dev *+ 2.
  apply: le_of_sqr; first by rewrite mulrn_wge0.
  rewrite -[dev *+ 2]mulr_natl [X in _ <= X]exprMn devE mulrCA -natrX [c ^+ 2]expr2.
  apply: ler_wpmul2l => //.
  apply: le_trans c1 _; have -> : 1 - q%:R / s%:R = (s - q)%:R / s%:R :> R.
    by rewrite natrB 1?ltnW // mulrBl divff // gt_eqF.
  rewrite 2!mulrA ler_pdivl_mulr // mul1r -!natrM ler_nat -{1}(subnKC (ltnW qs)) -mulnA.
  apply: (@leq_trans (2 * (q * (s - q)))%N); last exact: leq_pmull.
  by rewrite mul2n -addnn leq_add ?leq_pmulr ?leq_pmull ?subn_gt0.
have m_part : k%:R / n%:R = m / s%:R.
  by rewrite /m [s%:R / _]mulrC mulrA mulfK ?gt_eqF.
have near : m * (1 - m / s%:R) <= `|q%:R - m| + q%:R * (1 - q%:R / s%:R).
  rewrite -ler_subl_addr.
  have -> : m * (1 - m / s%:R) - q%:R * (1 - q%:R / s%:R)
            = (m - q%:R) * (1 - (m + q%:R) / s%:R).
    have expand (a : R) : a * (1 - a / s%:R) = a - a ^+ 2 / s%:R.
      by rewrite mulrBr mulr1 mulrA.
    rewrite !expand mulrBr mulr1 mulrA -subr_sqr mulrBl !opprB [LHS]addrACA [RHS]addrACA.
    by congr (_ + _); rewrite addrC.
  apply: le_trans (ler_norm _) _; rewrite normrM distrC ler_pimulr //.
  have m0 : 0 <= m by rewrite !mulr_ge0 ?invr_ge0 ?ler0n.
  have ms : m <= s%:R.
    by rewrite /m mulrCA ler_pimulr ?ler0n // ler_pdivr_mulr ?ltr0n 1?ltnW // mul1r ler_nat.
  rewrite ler_norml ler_subr_addl ler_subl_addr.
  rewrite ler_pdivr_mulr // [(1 + 1) * _]mulrDl mul1r ler_add ?ler_nat 1?ltnW //=.
  by rewrite ler_subl_addr ler_addl divr_ge0 ?addr_ge0 ?ler0n.
apply: le_of_sqr; first exact: addr_ge0.
apply: le_trans (mean_sqr_ge _ X_gt0) _.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
  (fun S => ((before k S)%:R - q%:R) ^+ 2)) => [|S _]; last first.
  by rewrite real_normK ?num_real // -sqrrN opprB.
rewrite mean_sqr // m_mean (before_variance n1 sn kn (erefl _)) -/m -/c m_part.
rewrite [X in _ <= X]sqrrD real_normK ?num_real // -[(m - _) ^+ 2]sqrrN opprB.
rewrite addrC -addrA ler_add2l -mulrnAr; apply: le_trans (ler_wpmul2l c0 near) _.
rewrite [c * (_ + _)]mulrDr devE ler_add2r.
by rewrite [X in _ <= X]mulrC; apply: ler_wpmul2r.
Qed.

(* The first k ranks have nearly as large a share of the weights as in the    *)
(* CVaR: E min(q, X) is near min(q, E X).                                     *)
Lemma gamma_sum_near {R : realFieldType} n s q k (dev : R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (k <= n)%N -> 0 <= dev ->
  dev ^+ 2 = (n - s)%:R / (n - 1)%:R * (q%:R * (1 - q%:R / s%:R)) ->
  0 <= Num.min (k%:R * (s%:R / n%:R) : R) q%:R - \sum_(j < k) gamma n s q j.+1 <= dev / 2%:R.
Proof.
move=> q_gt0 qs sn kn dev0 devE; rewrite gamma_sum //; have m_mean := @before_mean R n s k sn kn.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
have near := before_near q_gt0 qs sn kn dev0 devE; set m := k%:R * _ in m_mean near *.
pose x (S : {set 'I_n}) : R := (before k S)%:R.
apply/andP; split.
  rewrite subr_ge0 le_minr; apply/andP; split.
    by rewrite -[X in _ <= X]m_mean mean_le // => S _; rewrite le_minl lexx orbT.
  rewrite -[X in _ <= X](@mean_const R _ [lmodType R of R^o] _ _ X_gt0).
  by rewrite mean_le // => S _; rewrite le_minl lexx.
have min_norm (a b : R) : 2%:R * Num.min a b = a + b - `|a - b|.
  rewrite mulr_natl mulr2n; case: (leP a b) => [ab|/ltW ba].
    by rewrite distrC ger0_norm ?subr_ge0 // opprB addrACA subrr addr0.
  by rewrite ger0_norm ?subr_ge0 // opprB [b - a]addrC addrACA subrr add0r.
have -> : mean (candidates n s) (fun S => Num.min q%:R (x S) : R^o)
    = (q%:R + m - mean (candidates n s) (fun S => `|q%:R - x S| : R^o)) / 2%:R :> R.
  apply: (canRL (mulfK _)); rewrite ?pnatr_eq0 // mulrC -[LHS]mean_scale.
  rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
    (fun S => (q%:R : R^o) + (x S : R^o) + (- 1) *: (`|q%:R - x S| : R^o))) => [|S _].
    by rewrite 2!mean_add mean_const // mean_scale scaleN1r -m_mean.
  by rewrite scaleN1r -min_norm.
rewrite -[Num.min m q%:R](mulKf (_ : 2%:R != 0)) ?pnatr_eq0 // min_norm mulrC -mulrBl.
rewrite ler_wpmul2r ?invr_ge0 ?ler0n // [m + _]addrC [`|m - _|]distrC.
by rewrite opprB addrC addrA subrK ler_subl_addl.
Qed.

(* The mean, the surrogate and the CVaR, and the distance of the last two; lo *)
(* and hi bound the losses. For n = 1 the root is 0.                          *)
Theorem sandwich_cvar {R : realFieldType} :
  forall (n s q : nat) (rho : {perm 'I_n}) (x : 'I_n -> R) (lo hi root : R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> ranks rho x -> (forall i, lo <= x i <= hi) ->
  0 <= root -> root ^+ 2 = (1 - q%:R / s%:R) * (n - s)%:R / (q%:R * (n - 1)%:R) ->
  [/\ average x <= kept_mean s q rho x, kept_mean s q rho x <= cvar s q rho x
    & cvar s q rho x <= kept_mean s q rho x + root / 2%:R * (hi - lo)].
Proof.
move=> [|n] s q rho x lo hi root q_gt0 qs sn rho_x x_in root0 rootE.
  by move: sn; rewrite leqn0 => /eqP s0; move: (leq_trans q_gt0 qs); rewrite s0.
have q0 : q%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have s0 : s%:R != 0 :> R by rewrite pnatr_eq0 -lt0n (leq_trans q_gt0).
pose a j : R := (s%:R / n.+1%:R * worst_share n.+1 s q j - gamma n.+1 s q j.+1) / q%:R.
pose y j := x ((rho^-1)%g (inord j)).
have diffE : cvar s q rho x - kept_mean s q rho x = \sum_(j < n.+1) a j * y j.
  rewrite /cvar /kept_mean !mulr_sumr -sumrB (reindex_inj (@perm_inj _ (rho^-1)%g)).
  apply: eq_bigr => j _; rewrite permKV /y inord_val /a !mulrA -mulrBl; congr (_ * _).
  rewrite invfM mulrBl [gamma _ _ _ _ / _]mulrC; congr (_ - _).
  by rewrite [RHS]mulrAC [q%:R^-1 / _]mulrC mulrA.
have a_sum k : \sum_(j < k) a j
    = (Num.min (k%:R * (s%:R / n.+1%:R)) q%:R - \sum_(j < k) gamma n.+1 s q j.+1) / q%:R.
  rewrite -mulr_suml sumrB -mulr_sumr worst_share_sum minr_pmulr ?divr_ge0 ?ler0n //.
  rewrite natrM mulf_div [n.+1%:R * s%:R]mulrC -mulf_div divff // mul1r.
  by rewrite [n.+1%:R * q%:R]mulrC mulfK ?pnatr_eq0 // [_ * k%:R]mulrC.
have partial k : (k <= n.+1)%N -> 0 <= \sum_(j < k) a j <= root / 2%:R.
  move=> kn; have dev0 : 0 <= q%:R * root by rewrite mulr_ge0 ?ler0n.
  have /(gamma_sum_near q_gt0 qs sn kn dev0)/andP[ge0 le] : (q%:R * root) ^+ 2
      = (n.+1 - s)%:R / (n.+1 - 1)%:R * (q%:R * (1 - q%:R / s%:R)).
    rewrite exprMn rootE expr2 -mulrA [RHS]mulrCA invfM; congr (_ * _).
    by rewrite [LHS]mulrCA mulVKf // -mulrA mulrC.
  rewrite a_sum divr_ge0 ?ler0n //= ler_pdivr_mulr ?ltr0n // mulrAC.
  by rewrite [root * _]mulrC.
have total : \sum_(j < n.+1) a j = 0.
  rewrite a_sum mulrCA divff ?pnatr_eq0 // mulr1 min_r ?ler_nat // -sum_ranks.
  by rewrite inclusion_sum // subrr mul0r.
have y_anti k : (k < n)%N -> y k.+1 <= y k.
  by move=> kn; apply: rho_x; rewrite !permKV !inordK ?ltnS ?(ltnW kn).
have /andP[ge0 le] := abel_bounds total y_anti (fun k kn => partial k (leqW kn)).
split.
- by have := gap_ge0 q_gt0 qs sn rho_x; rewrite subr_ge0.
- by rewrite -subr_ge0 diffE.
rewrite -ler_subl_addl diffE; apply: le_trans le _; apply: ler_wpmul2l.
  by rewrite divr_ge0 ?ler0n.
have /andP[_ yhi] := x_in ((rho^-1)%g (inord 0)).
by have /andP[ylo _] := x_in ((rho^-1)%g (inord n)); rewrite ler_sub.
Qed.

Lemma worst_share_le1 {R : realFieldType} n s q j : 0 <= (worst_share n s q j : R) <= 1.
Proof. by rewrite /worst_share le_minl lexx le_minr ler01 le_maxr lexx. Qed.

(* The CVaR is the least value of the right-hand side over t (Rockafellar and *)
(* Uryasev).                                                                  *)
Theorem cvar_least {R : realFieldType} :
  forall (n s q : nat) (rho : {perm 'I_n}) (x : 'I_n -> R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> ranks rho x ->
  let bound (t : R) := t + s%:R / (q%:R * n%:R) * \sum_(i < n) Num.max (x i - t) 0 in
  (forall t, cvar s q rho x <= bound t) /\ exists t, cvar s q rho x = bound t.
Proof.
move=> n s q rho x q_gt0 qs sn rho_x bound; have s_gt0 := leq_trans q_gt0 qs.
have n_gt0 := leq_trans s_gt0 sn; have sR : 0 < s%:R :> R by rewrite ltr0n.
have shift t : cvar s q rho x
    = t + s%:R / (q%:R * n%:R) * \sum_(i < n) worst_share n s q (rho i) * (x i - t).
  under eq_bigr do rewrite mulrBr.
  rewrite sumrB -mulr_suml (sum_by rho (worst_share n s q)) worst_share_sum min_r.
    rewrite mulrBr [X in _ - X]mulrA mulf_div natrM [n%:R * q%:R]mulrC [s%:R * (q%:R * _)]mulrC.
    by rewrite divff ?mulf_neq0 ?pnatr_eq0 -?lt0n // mul1r addrC subrK.
  by rewrite ler_pdivr_mulr // -natrM ler_nat leq_mul2l qs orbT.
have coef0 : 0 <= s%:R / (q%:R * n%:R) :> R by rewrite divr_ge0 ?mulr_ge0 ?ler0n.
split=> [t|].
  rewrite (shift t) ler_add2l ler_wpmul2l //; apply: ler_sum => i _.
  have /andP[w0 w1] := @worst_share_le1 R n s q (rho i).
  case: (leP 0 (x i - t)) => [xt|/ltW xt]; first exact: ler_pimull.
  exact: mulr_ge0_le0.
have m_lt : ((n * q - 1) %/ s < n)%N.
  rewrite ltn_divLR // subn1 prednK ?muln_gt0 ?n_gt0 //; exact: leq_mul.
pose j := Ordinal m_lt; exists (x ((rho^-1)%g j)); rewrite (shift (x ((rho^-1)%g j))).
congr (_ + _ * _); apply: eq_bigr => i _; rewrite /worst_share.
case: (ltngtP (rho i) j) => [ij|ji|/val_inj <-]; last by rewrite permK subrr mulr0 maxxx.
  have xt : 0 <= x i - x ((rho^-1)%g j) by rewrite subr_ge0 rho_x // permKV.
  rewrite [RHS]max_l // min_l ?mul1r // le_maxr ler_subr_addr.
  rewrite -(natrD _ 1) add1n ler_pdivl_mulr // -natrM ler_nat; apply/orP; right.
  by move: ij; rewrite /= leq_divRL // => /leq_trans-> //; apply: leq_subr.
have xt : x i - x ((rho^-1)%g j) <= 0 by rewrite subr_le0 rho_x // permKV.
rewrite [RHS]max_r // max_l ?min_r ?mul0r ?ler01 // subr_le0 ler_pdivr_mulr // -natrM ler_nat.
by move: ji; rewrite /= ltn_divLR // subn1 prednK // muln_gt0 n_gt0.
Qed.
