(* Algorithm 1 as printed, ranking by stored scores: Theorem 3 fails for every *)
(* design that drops anything.                                                *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate Gap Vectors Convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The scores of Algorithm 1: at first the losses at the start, and later the *)
(* loss of a sample before the last step in which it was kept.                *)
Definition stored_scores {R : realFieldType} {n d : nat} (q : nat)
    (L : 'I_n -> 'rV[R]_d -> R) (rho : seq {set 'I_n} -> {perm 'I_n})
    (theta : seq {set 'I_n} -> 'rV[R]_d) (H : seq {set 'I_n} -> 'I_n -> R) : Prop :=
  (forall i, H [::] i = L i (theta [::])) /\
  (forall past S i, H (rcons past S) i
     = if i \in top_by (rho past) q S then L i (theta past) else H past i).

(* The vector (a, b), and a hinge.                                            *)
Definition vec2 {R : realFieldType} (a b : R) : 'rV[R]_2 :=
  \row_(k < 2) if k == 0 then a else b.

Definition hinge {R : realFieldType} {d : nat} (w : 'rV[R]_d) (b : R) (v : 'rV[R]_d) : R :=
  Num.max 0 (dot w v + b).

(* At v = (x, y): max(0, 4 x - 3 y) for one sample, and 1 + 5 max(0, 1 - x)   *)
(* for all others.                                                            *)
Definition unseen_loss {R : realFieldType} {n : nat} (one i : 'I_n) (v : 'rV[R]_2) : R :=
  if i == one then hinge (vec2 4%:R (- 3%:R)) 0 v
  else 1 + hinge (vec2 (- 5%:R) 0) 5%:R v.

Lemma dot_vec2 {R : realFieldType} (a b : R) v : dot (vec2 a b) v = a * v 0 0 + b * v 0 1.
Proof.
rewrite /dot big_ord_recl big_ord1 !mxE /=; congr (_ + _ * v 0 _).
exact: val_inj.
Qed.

Lemma hinge_ge0 {R : realFieldType} d (w : 'rV[R]_d) b v : 0 <= hinge w b v.
Proof. by rewrite /hinge le_maxr lexx. Qed.

Lemma hinge_ge {R : realFieldType} d (w : 'rV[R]_d) b v : dot w v + b <= hinge w b v.
Proof. by rewrite /hinge le_maxr lexx orbT. Qed.

Lemma hinge_convex {R : realFieldType} d (w : 'rV[R]_d) b : convex (hinge w b).
Proof.
move=> t u a a01; have /andP[a0 a1] := a01; have a1' : 0 <= 1 - a by rewrite subr_ge0.
rewrite {1}/hinge le_maxl addr_ge0 ?mulr_ge0 ?hinge_ge0 //=.
rewrite (le_trans (affine_convex w b t u a01)) //.
by apply: ler_add; apply: ler_wpmul2l => //; apply: hinge_ge.
Qed.

Lemma max0_sqr {R : realFieldType} (x y : R) :
  (Num.max 0 x - Num.max 0 y) ^+ 2 <= (x - y) ^+ 2.
Proof.
have sq (a b : R) : 0 <= a -> a <= b -> a ^+ 2 <= b ^+ 2.
  by move=> a0 ab; apply: ler_expn2r; rewrite ?nnegrE // (le_trans a0).
case: (lerP 0 x) => x0; case: (lerP 0 y) => y0.
- by rewrite lexx.
- by rewrite subr0 sq // ler_addl oppr_ge0 ltW.
- by rewrite sub0r sqrrN -[x - y]opprB sqrrN sq // ler_addl oppr_ge0 ltW.
- by rewrite subrr expr0n sqr_ge0.
Qed.

Lemma hinge_lipschitz {R : realFieldType} d (G : R) (w : 'rV[R]_d) b :
  sqnorm w <= G ^+ 2 -> lipschitz G (hinge w b).
Proof.
move=> wG t u; rewrite /hinge; apply: le_trans (max0_sqr _ _) _.
rewrite opprD addrACA subrr addr0 -dotBr.
apply: le_trans (cauchy_schwarz _ _) _; apply: ler_wpmul2r wG; exact: sqnorm_ge0.
Qed.

Lemma hinge_subgradient {R : realFieldType} d (w : 'rV[R]_d) b t :
  subgradient (hinge w b) t (if 0 <= dot w t + b then w else 0).
Proof.
move=> u; rewrite {1}/hinge; case: (lerP 0 (dot w t + b)) => t0.
  by rewrite addrAC -dotDr [t + _]addrC subrK hinge_ge.
by rewrite dot0l addr0 hinge_ge0.
Qed.

(* What the losses are like.                                                  *)
Lemma unseen_convex {R : realFieldType} n (one i : 'I_n) : convex (@unseen_loss R n one i).
Proof.
move=> t u a a01; rewrite /unseen_loss; case: ifP => _; first exact: hinge_convex.
rewrite !mulrDr addrACA -mulrDl [a + _]addrC subrK mul1r ler_add2l.
exact: hinge_convex.
Qed.

Lemma unseen_lipschitz {R : realFieldType} n (one i : 'I_n) :
  lipschitz 5%:R (@unseen_loss R n one i).
Proof.
have le5 (a b : R) : a * a + b * b <= 5%:R ^+ 2 -> sqnorm (vec2 a b) <= 5%:R ^+ 2.
  by rewrite /sqnorm dot_vec2 !mxE.
have sub1 (a b : R) : (1 + a) - (1 + b) = a - b by rewrite opprD addrACA subrr add0r.
move=> t u; rewrite /unseen_loss; case: ifP => _.
  by apply: hinge_lipschitz; apply: le5; rewrite mulrNN -!natrM -natrD -natrX.
rewrite sub1.
by apply: hinge_lipschitz; apply: le5; rewrite mulrNN mulr0 addr0 -!natrM -natrX.
Qed.

Lemma unseen_ge0 {R : realFieldType} n (one i : 'I_n) (v : 'rV[R]_2) : 0 <= unseen_loss one i v.
Proof. by rewrite /unseen_loss; case: ifP => _; rewrite ?addr_ge0 ?ler01 ?hinge_ge0. Qed.

Lemma unseen_subgradients {R : realFieldType} n (one : 'I_n) :
  exists grad : 'I_n -> 'rV[R]_2 -> 'rV[R]_2,
    forall i t, subgradient (unseen_loss one i) t (grad i t).
Proof.
pose w (i : 'I_n) : 'rV[R]_2 := if i == one then vec2 4%:R (- 3%:R) else vec2 (- 5%:R) 0.
pose b (i : 'I_n) : R := if i == one then 0 else 5%:R.
exists (fun i t => if 0 <= dot (w i) t + b i then w i else 0) => i t u.
rewrite /unseen_loss /w /b; case: ifP => _; first exact: hinge_subgradient.
by rewrite -addrA ler_add2l; apply: hinge_subgradient.
Qed.

(* One loss is a, all others are c.                                           *)
Lemma two_values {R : realFieldType} n s q (rho : {perm 'I_n}) one (x : 'I_n -> R) (a c : R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall i, x i = if i == one then a else c) ->
  q%:R^-1 * (\sum_(i < n) gamma n s q (rho i).+1 * x i)
  = c + gamma n s q (rho one).+1 / q%:R * (a - c).
Proof.
move=> q_gt0 qs sn xE; have q0 : q%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
rewrite (eq_bigr (fun i => gamma n s q (rho i).+1 * c
  + gamma n s q (rho i).+1 * (if i == one then a - c else 0))) => [|i _]; last first.
  by rewrite -mulrDr xE; case: ifP; rewrite ?addr0 // addrC subrK.
rewrite big_split -mulr_suml inclusion_sum_by //= (bigD1 one) //= eqxx.
rewrite [X in _ * (_ + (_ + X))]big1 ?addr0 => [|i /negPf->]; last by rewrite mulr0.
by rewrite mulrDr mulKf // mulrA [q%:R^-1 * _]mulrC.
Qed.

(* While the second coordinate is 0, L_q is above its minimum by 1 / n.       *)
Lemma unseen_excess {R : realFieldType} n s q order (one : 'I_n) (v : 'rV[R]_2) :
  (0 < q)%N -> (q < s)%N -> (s <= n)%N ->
  (forall u, ranks (order u) (fun i => @unseen_loss R n one i u)) -> v 0 1 = 0 ->
  1 + n%:R^-1 <= surrogate s q order (unseen_loss one) v.
Proof.
move=> q_gt0 qs sn order_L v1; have n_gt0 := leq_ltn_trans (leq0n one) (ltn_ord one).
have qs' := ltnW qs; have nR : 0 < n%:R :> R by rewrite ltr0n.
have n1 : n%:R^-1 <= 1 :> R by rewrite invf_le1 // ler1n.
pose a := hinge (vec2 4%:R (- 3%:R)) 0 v; pose c := 1 + hinge (vec2 (- 5%:R) 0) 5%:R v.
have bound (rho : {perm 'I_n}) := weighted_le_surrogate rho v qs' sn order_L.
have val rho := @two_values R n s q rho one (unseen_loss one ^~ v) a c q_gt0 qs' sn
  (fun i => erefl).
have c_ge : 1 + (5%:R - 5%:R * v 0 0) <= c.
  rewrite ler_add2l; apply: le_trans _ (hinge_ge _ _ _).
  by rewrite dot_vec2 mul0r addr0 mulNr addrC.
have c_ge1 : 1 <= c by rewrite ler_addl hinge_ge0.
have a_ge : 4%:R * v 0 0 <= a.
  by apply: le_trans _ (hinge_ge _ _ _); rewrite dot_vec2 v1 mulr0 !addr0.
case: (lerP (5%:R * v 0 0) 4%:R) => v0.
  pose last := Ordinal (eq_leq (prednK n_gt0)).
  have := bound (tperm one last); rewrite /surrogate val tpermL /= prednK //.
  have -> : gamma n s q n = 0 :> R.
    by apply/inclusion_support; rewrite ?n_gt0 ?leqnn // ltn_subrL subn_gt0 qs n_gt0.
  rewrite !mul0r addr0; apply: le_trans; apply: le_trans _ c_ge; rewrite ler_add2l.
  apply: le_trans n1 _; rewrite ler_subr_addr -ler_subr_addl; apply: le_trans v0 _.
  by rewrite -(natrB _ (isT : (1 <= 5)%N)).
pose first := Ordinal n_gt0.
have := bound (tperm one first); rewrite /surrogate val tpermL /=.
rewrite inclusion_plateau ?q_gt0 //; apply: le_trans.
set w := s%:R / n%:R / q%:R.
have w_ge : n%:R^-1 <= w.
  rewrite /w mulrAC -[X in X <= _]mul1r ler_wpmul2r ?invr_ge0 ?ler0n //.
  by rewrite ler_pdivl_mulr ?ltr0n // mul1r ler_nat.
have w1 : w <= 1.
  rewrite /w ler_pdivr_mulr ?ltr0n // mul1r ler_pdivr_mulr // -natrM ler_nat.
  by rewrite (leq_trans sn) // leq_pmull.
have a_ge2 : 2%:R <= a.
  apply: le_trans _ a_ge; rewrite -(ler_pmul2l (_ : 0 < 5%:R)) ?ltr0n // mulrCA.
  apply: le_trans _ (ler_wpmul2l (ler0n _ 4) (ltW v0)).
  by rewrite -!natrM ler_nat.
have -> : c + w * (a - c) = (1 - w) * c + w * a.
  by rewrite mulrBr mulrBl mul1r addrA addrAC.
apply: (@le_trans _ _ ((1 - w) * 1 + w * 2%:R)).
  by rewrite mulr1 mulr_natr mulr2n addrA subrK ler_add2l.
by apply: ler_add; apply: ler_wpmul2l; rewrite // ?subr_ge0 // (le_trans _ w_ge) ?invr_ge0 ?ltW.
Qed.

Lemma unseen_minimum {R : realFieldType} n s q order (one : 'I_n) (v : 'rV[R]_2) :
  (0 < q)%N -> (q < s)%N -> (s <= n)%N ->
  (forall u, ranks (order u) (fun i => @unseen_loss R n one i u)) ->
  surrogate s q order (unseen_loss one) (vec2 1 1) = 1 /\
  1 <= surrogate s q order (unseen_loss one) v.
Proof.
move=> q_gt0 qs sn order_L; have n_gt0 := leq_ltn_trans (leq0n one) (ltn_ord one).
have qs' := ltnW qs; split.
  rewrite /surrogate (@two_values _ _ _ _ _ one _ 1 1) // ?subrr ?mulr0 ?addr0 // => i.
  rewrite /unseen_loss /hinge !dot_vec2 !mxE /= !mulr1 !addr0.
  have -> : 4%:R - 3%:R = 1 :> R by rewrite -(natrB _ (isT : (3 <= 4)%N)).
  by rewrite addNr maxxx addr0 max_r ?ler01.
pose last := Ordinal (eq_leq (prednK n_gt0)).
apply: le_trans _ (weighted_le_surrogate (tperm one last) v qs' sn order_L).
rewrite /surrogate (@two_values _ _ _ _ _ one _ (hinge (vec2 4%:R (- 3%:R)) 0 v)
  (1 + hinge (vec2 (- 5%:R) 0) 5%:R v)) // tpermL /= prednK //.
have -> : gamma n s q n = 0 :> R.
  by apply/inclusion_support; rewrite ?n_gt0 ?leqnn // ltn_subrL subn_gt0 qs n_gt0.
by rewrite !mul0r addr0 ler_addl hinge_ge0.
Qed.

(* The one sample has the lowest score, so at least q others of the           *)
(* candidates are before it.                                                  *)
Lemma lowest_dropped {R : realFieldType} n s q (rho : {perm 'I_n}) (h : 'I_n -> R) one S :
  (q < s)%N -> S \in candidates n s -> ranks rho h ->
  (forall i, i != one -> h one < h i) -> one \notin top_by rho q S.
Proof.
move=> qs; rewrite in_drawsT => /eqP Ss rho_h low; rewrite inE.
case oneS: (one \in S) => //=; rewrite -leqNgt.
have sub : S :\ one \subset [set k in S | (rho k < rho one)%N].
  apply/subsetP => k; rewrite !inE => /andP[k1 ->] /=; rewrite ltnNge; apply/negP.
  rewrite leq_eqVlt => /orP[/eqP/ord_inj/perm_inj eqk|lt1]; first by rewrite eqk eqxx in k1.
  by have := rho_h _ _ lt1; rewrite leNgt low.
apply: leq_trans (subset_leq_card sub).
by rewrite -ltnS; have := cardsD1 one S; rewrite oneS Ss add1n => <-.
Qed.

(* The other losses do not depend on the second coordinate.                   *)
Lemma unseen_gradient {R : realFieldType} n (one i : 'I_n) (t v : 'rV[R]_2) :
  i != one -> subgradient (unseen_loss one i) t v -> v 0 1 = 0.
Proof.
move=> /negPf i1 sub.
have flat a : a * v 0 1 <= 0.
  have := sub (t + vec2 0 a); rewrite /unseen_loss i1 /hinge !dot_vec2 !mxE /=.
  rewrite addr0 !mul0r addrAC subrr add0r ger_addl dotC dot_vec2 mul0r add0r.
  by [].
apply/eqP; rewrite eq_le -[v 0 1]mul1r flat /=.
by have := flat (- 1); rewrite mulN1r oppr_le0 mul1r.
Qed.

Lemma never_kept {R : realFieldType} n s q (one : 'I_n) eta rho g
    (theta : seq {set 'I_n} -> 'rV[R]_2) H c :
  (q < s)%N -> theta [::] = 0 -> orderdp_run q eta rho g theta ->
  subgradients (unseen_loss one) g theta -> stored_scores q (unseen_loss one) rho theta H ->
  ranked_by rho H ->
  all (mem (candidates n s)) c ->
  [/\ theta c 0 1 = 0, H c one = 0 & forall i, i != one -> 1 <= H c i].
Proof.
move=> qs start run gL [H0 HS] rho_H.
have L1 i v : i != one -> 1 <= @unseen_loss R n one i v.
  by move=> /negPf i1; rewrite /unseen_loss i1 ler_addl hinge_ge0.
elim/last_ind: c => [_|past S IH].
  split=> [||i i1]; rewrite ?H0 ?start ?mxE //; last exact: L1.
  by rewrite /unseen_loss eqxx /hinge dot0r addr0 maxxx.
rewrite all_rcons => /andP[SX /IH[theta0 Hone Hother]].
have out : one \notin top_by (rho past) q S.
  by apply: lowest_dropped SX (rho_H past) _ => // i i1; rewrite Hone (lt_le_trans ltr01) ?Hother.
split=> [||i i1]; last first.
- by rewrite HS; case: ifP => _; [apply: L1 | apply: Hother].
- by rewrite HS (negPf out).
rewrite run !mxE theta0 summxE big1 ?mulr0 ?subr0 // => i iQ.
apply: (@unseen_gradient R n one i) (gL past i).
by apply: contraNneq out => <-.
Qed.

(* The bound at step size 1 / (25 n) and 100 n^2 steps.                       *)
Lemma unseen_bound {R : realFieldType} n : (0 < n)%N ->
  convergence_bound 2%:R 5%:R (fun=> (25%:R * n%:R)^-1 : R) (100 * n ^ 2) < n%:R^-1.
Proof.
move=> n_gt0; have nR : 0 < n%:R :> R by rewrite ltr0n.
have n0 : n%:R != 0 :> R by rewrite gt_eqF.
have c25 : 25%:R != 0 :> R by rewrite pnatr_eq0.
rewrite /convergence_bound !sumr_const card_ord.
have -> : (25%:R * n%:R)^-1 *+ (100 * n ^ 2) = 4%:R * n%:R :> R.
  rewrite -[LHS]mulr_natr natrM natrX expr2 invfM -[100%N]/(25 * 4)%N natrM.
  by rewrite mulrACA !mulKf.
have -> : (25%:R * n%:R)^-1 ^+ 2 *+ (100 * n ^ 2) = 4%:R / 25%:R :> R.
  rewrite expr2 -mulrnAr; have -> : (25%:R * n%:R)^-1 *+ (100 * n ^ 2) = 4%:R * n%:R :> R.
    rewrite -[LHS]mulr_natr natrM natrX expr2 invfM -[100%N]/(25 * 4)%N natrM.
    by rewrite mulrACA !mulKf.
  by rewrite mulrC invfM mulrACA [n%:R / _]mulfV ?mulr1.
have -> : 5%:R ^+ 2 * (4%:R / 25%:R) = 4%:R :> R.
  by rewrite -natrX mulrC divfK.
rewrite ltr_pdivr_mulr ?mulr_gt0 ?ltr0n // [4%:R * _]mulrC mulrCA mulKf //.
by rewrite -natrM -natrD ltr_nat.
Qed.

(* Theorem 3 fails for Algorithm 1, for the best iterate and for the average, *)
(* and whatever is drawn, however ties are broken and subgradients chosen.    *)
Theorem stale_impossible {R : realFieldType} (n s q : nat) :
  (0 < q)%N -> (q < s)%N -> (s <= n)%N ->
  let T := (100 * n ^ 2)%N in let eta (t : nat) : R := (25%:R * n%:R)^-1 in
  exists (L : 'I_n -> 'rV[R]_2 -> R) (star : 'rV[R]_2),
  [/\ forall i, convex (L i), forall i, lipschitz 5%:R (L i), forall i v, 0 <= L i v
    & exists grad, forall i v, subgradient (L i) v (grad i v)] /\
  forall order, (forall u, ranks (order u) (fun i => L i u)) ->
  (forall v, surrogate s q order L star <= surrogate s q order L v) /\
  forall rho g theta H,
  theta [::] = 0 -> orderdp_run q eta rho g theta -> subgradients L g theta ->
  stored_scores q L rho theta H -> ranked_by rho H ->
  let bound := convergence_bound (sqnorm (theta [::] - star)) 5%:R eta T in
  forall c, c \in sequences (candidates n s) T ->
  (forall t : 'I_T,
     bound < surrogate s q order L (theta (take t c)) - surrogate s q order L star) /\
  bound < surrogate s q order L (average_iterate eta T theta c) - surrogate s q order L star.
Proof.
move=> q_gt0 qs sn T eta; have n_gt0 := leq_trans q_gt0 (leq_trans (ltnW qs) sn).
pose one := Ordinal n_gt0; exists (unseen_loss one), (vec2 1 1); split.
  split; [exact: unseen_convex | exact: unseen_lipschitz | exact: unseen_ge0 |].
  exact: unseen_subgradients.
move=> order order_L; have min := unseen_minimum _ q_gt0 qs sn order_L.
have [star1 _] := min 0; split=> [v|rho g theta H start run gL HS rho_H bound c].
  by rewrite star1; have [] := min v.
rewrite inE => cX; rewrite star1.
have small : bound < n%:R^-1.
  rewrite /bound start sub0r sqnormN /sqnorm dot_vec2 !mxE /= !mulr1 -(natrD _ 1 1).
  exact: unseen_bound.
have flat t : theta (take t c) 0 1 = 0.
  have tX : all (mem (candidates n s)) (take t c).
    by move: cX; rewrite -{1}(cat_take_drop t c) all_cat => /andP[].
  by have [] := never_kept qs start run gL HS rho_H tX.
have above (v : 'rV[R]_2) : v 0 1 = 0 -> bound < surrogate s q order (unseen_loss one) v - 1.
  move=> v1; apply: lt_le_trans small _; rewrite ler_subr_addl.
  exact: unseen_excess.
split=> [t|]; apply: above; first exact: flat.
by rewrite !mxE summxE [X in _ * X]big1 ?mulr0 // => t _; rewrite mxE flat mulr0.
Qed.

(* Such runs exist, for every start, losses with subgradients and step sizes. *)
Theorem stored_run_exists {R : realFieldType} (n d q : nat) (eta : nat -> R)
    (L : 'I_n -> 'rV[R]_d -> R) (grad : 'I_n -> 'rV[R]_d -> 'rV[R]_d) (start : 'rV[R]_d) :
  (forall i v, subgradient (L i) v (grad i v)) ->
  exists rho g theta H,
  [/\ theta [::] = start, orderdp_run q eta rho g theta, subgradients L g theta,
      stored_scores q L rho theta H & ranked_by rho H].
Proof.
move=> gradL; have [rank rankP] := @ranking_choice R n.
pose state := ('rV[R]_d * ('I_n -> R))%type.
pose step (past : seq {set 'I_n}) (x : state) (S : {set 'I_n}) : state :=
  (x.1 - eta (size past) *: (q%:R^-1 *: \sum_(i in top_by (rank x.2) q S) grad i x.1),
   fun i => if i \in top_by (rank x.2) q S then L i x.1 else x.2 i).
pose fix run (past : seq {set 'I_n}) : state :=
  if past is S0 :: past' then step past' (run past') S0 else (start, fun i => L i start).
have runS past S : run (rev (rcons past S)) = step (rev past) (run (rev past)) S.
  by rewrite rev_rcons.
exists (fun past => rank (run (rev past)).2), (fun past i => grad i (run (rev past)).1),
  (fun past => (run (rev past)).1), (fun past => (run (rev past)).2).
split; [by [] | | | | by move=> past; apply: rankP].
- by move=> past S; rewrite runS /step /= size_rev.
- by move=> past i; apply: gradL.
- by split=> [i|past S i]; rewrite ?runS.
Qed.
