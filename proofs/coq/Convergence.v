(* Theorem 3: OrderDP on convex Lipschitz losses, ranked by current losses.   *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex Surrogate.
From OrderDP Require Import Vectors.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* ************************************************************************** *)
(* The algorithm                                                              *)
(* ************************************************************************** *)

(* theta past is the parameter vector after the candidate sets in past. The   *)
(* ranking rho past and the vectors g past i of the next step may depend on   *)
(* all that happened before; from the next candidates S the first q by this   *)
(* ranking are kept, and the step goes against the mean of their vectors.     *)
Definition orderdp_run {R : realFieldType} {n d : nat} (q : nat) (eta : nat -> R)
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) : Prop :=
  forall past S, theta (rcons past S)
    = theta past - eta (size past) *: (q%:R^-1 *: \sum_(i in top_by (rho past) q S) g past i).

(* g past i is a subgradient of the loss of sample i at the current vector.   *)
Definition subgradients {R : realFieldType} {n d : nat} (L : 'I_n -> 'rV[R]_d -> R)
    (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d) (theta : seq {set 'I_n} -> 'rV[R]_d) : Prop :=
  forall past i, subgradient (L i) (theta past) (g past i).

(* The ranking in the step after past is by the scores H past; fresh scores   *)
(* are the losses at the current vector.                                      *)
Definition ranked_by {R : realFieldType} {n : nat} (rho : seq {set 'I_n} -> {perm 'I_n})
    (H : seq {set 'I_n} -> 'I_n -> R) : Prop :=
  forall past, ranks (rho past) (H past).

Definition fresh {R : realFieldType} {n d : nat} (L : 'I_n -> 'rV[R]_d -> R)
    (rho : seq {set 'I_n} -> {perm 'I_n}) (theta : seq {set 'I_n} -> 'rV[R]_d) : Prop :=
  ranked_by rho (fun past i => L i (theta past)).

(* The iterates' average, weighted by the step sizes: theta (take t c) is the *)
(* vector after the first t candidate sets of c, at which step t is made.     *)
Definition average_iterate {R : realFieldType} {n d : nat} (eta : nat -> R) (T : nat)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (c : seq {set 'I_n}) : 'rV[R]_d :=
  (\sum_(t < T) eta t)^-1 *: \sum_(t < T) eta t *: theta (take t c).

(* The same average of the expected values of F at the iterates, over all     *)
(* sequences of T candidate sets.                                             *)
Definition expected_average {R : realFieldType} {n : nat} (s : nat) (eta : nat -> R)
    (T : nat) (F : seq {set 'I_n} -> R) : R :=
  (\sum_(t < T) eta t)^-1 * \sum_(t < T) eta t
    * mean (sequences (candidates n s) T) (fun c => F (take t c) : R^o).

(* The right-hand side of Theorem 3 without its factor eta_max / eta_min; D2   *)
(* bounds the squared distance from the first iterate to star.                *)
Definition convergence_bound {R : realFieldType} (D2 G : R) (eta : nat -> R) (T : nat) : R :=
  (D2 + G ^+ 2 * \sum_(t < T) eta t ^+ 2) / (2%:R * \sum_(t < T) eta t).

(* ************************************************************************** *)
(* One step                                                                   *)
(* ************************************************************************** *)

(* Expand the square of the distance to star.                                 *)
Lemma sgd_step {R : realFieldType} d (T : finType) (X : {set T}) (v : T -> 'rV[R]_d)
    (x star : 'rV[R]_d) (eta G : R) :
  (0 < #|X|)%N -> (forall S, S \in X -> sqnorm (v S) <= G ^+ 2) ->
  (mean X (fun S => sqnorm (x - eta *: v S - star) : R^o) : R)
  <= sqnorm (x - star) - 2%:R * eta * dot (mean X v) (x - star) + eta ^+ 2 * G ^+ 2.
Proof.
move=> X_gt0 vG; rewrite dot_mean -mean_affine //; apply: mean_le => S SX.
rewrite [x - _ - star]addrAC sqnormB dotZr sqnormZ dotC mulrA ler_add2l.
by rewrite ler_wpmul2l ?sqr_ge0 ?vG.
Qed.

(* The expected step decreases the losses weighted by the ranking's weights,  *)
(* whatever the ranking is by.                                                *)
Lemma estimator_descent {R : realFieldType} n s q d (rho : {perm 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) (g : 'I_n -> 'rV[R]_d) x star :
  (q <= s)%N -> (s <= n)%N -> (forall i, subgradient (L i) x (g i)) ->
  surrogate s q (fun=> rho) L x - surrogate s q (fun=> rho) L star
  <= dot (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by rho q S) g i))
         (x - star).
Proof.
move=> qs sn gL; rewrite unbiased_stale // dotZl dot_sum /surrogate -mulrBr.
rewrite ler_wpmul2l ?invr_ge0 ?ler0n // -sumrB; apply: ler_sum => i _.
rewrite dotZl -mulrBr ler_wpmul2l ?gamma_ge0 //.
by rewrite ler_subl_addr -ler_subl_addl -[x - star]opprB dotNr opprK; apply: gL.
Qed.

Lemma sqnorm_estimator {R : realFieldType} n s q d (rho : {perm 'I_n}) (G : R)
    (g : 'I_n -> 'rV[R]_d) S :
  (q <= s)%N -> 0 <= G -> (forall i, sqnorm (g i) <= G ^+ 2) -> S \in candidates n s ->
  sqnorm (q%:R^-1 *: \sum_(i in top_by rho q S) g i) <= G ^+ 2.
Proof.
move=> qs G0 gG; rewrite in_drawsT => /eqP Ss.
by apply: sqnorm_mean; rewrite ?card_top_by ?Ss.
Qed.

(* ************************************************************************** *)
(* All steps                                                                  *)
(* ************************************************************************** *)

Lemma sum_steps_gt0 {R : realFieldType} (eta : nat -> R) T :
  (0 < T)%N -> (forall t, 0 < eta t) -> 0 < \sum_(t < T) eta t.
Proof.
case: T => // T _ eta_gt0; rewrite big_ord_recr /=.
by apply: ltr_paddl (eta_gt0 T); apply: sumr_ge0 => t _; apply: ltW.
Qed.

Lemma le_expected_average {R : realFieldType} n s (eta : nat -> R) T
    (F F' : seq {set 'I_n} -> R) :
  (forall t, 0 < eta t) -> (forall past, F past <= F' past) ->
  expected_average s eta T F <= expected_average s eta T F'.
Proof.
move=> eta_gt0 FF'; apply: ler_wpmul2l.
  by rewrite invr_ge0; apply: sumr_ge0 => t _; apply: ltW.
by apply: ler_sum => t _; apply: (ler_wpmul2l (ltW (eta_gt0 t))); apply: mean_le.
Qed.

(* If every step brings theta closer to star by 2 eta times F in expectation, *)
(* up to (eta G)^2, then F is small on average.                               *)
Lemma expected_average_le {R : realFieldType} n s d (eta : nat -> R) T (D2 G : R)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) (F : seq {set 'I_n} -> R) :
  (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  sqnorm (theta [::] - star) <= D2 ->
  (forall past, (mean (candidates n s) (fun S => sqnorm (theta (rcons past S) - star) : R^o) : R)
     <= sqnorm (theta past - star) - 2%:R * eta (size past) * F past
        + eta (size past) ^+ 2 * G ^+ 2) ->
  expected_average s eta T F <= convergence_bound D2 G eta T.
Proof.
move=> sn T_gt0 eta_gt0 startD step.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
have sum_gt0 := sum_steps_gt0 T_gt0 eta_gt0.
pose v past : R^o := sqnorm (theta past - star).
pose e past : R^o := 2%:R * eta (size past) * F past.
have eE : \sum_(t < T) (mean (sequences (candidates n s) T) (fun c => e (take t c)) : R)
    = 2%:R * \sum_(t < T) eta t
      * mean (sequences (candidates n s) T) (fun c => F (take t c) : R^o).
  rewrite mulr_sumr; apply: eq_bigr => t _; rewrite mulrA.
  rewrite -[RHS]mean_scaleR; apply: (@eq_mean R _ [lmodType R of R^o]) => c _.
  by rewrite /e size_takel // size_tuple ltnW.
have v_ge0 : 0 <= (mean (sequences (candidates n s) T) v : R).
  by apply: mulr_ge0; rewrite ?invr_ge0 ?ler0n //; apply: sumr_ge0 => c _; apply: sqnorm_ge0.
have := @expected_descent R _ _ v e (fun t => eta t ^+ 2 * G ^+ 2) T X_gt0 step.
rewrite /convergence_bound /expected_average => le1.
rewrite ler_pdivl_mulr ?mulr_gt0 ?ltr0n // mulrAC mulrCA mulVf ?gt_eqF // mulr1.
rewrite -eE mulr_sumr; under [X in _ <= _ + X]eq_bigr do rewrite mulrC.
apply: le_trans (le_trans _ le1) _; first by rewrite ler_addl.
by rewrite ler_add2r.
Qed.

(* Whatever the ranking is by: the losses weighted by it are small on average *)
(* compared with the same weighting at star.                                  *)
Lemma any_ranking_average {R : realFieldType} n s q d T (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) rho g theta (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s q (fun=> rho past) L (theta past) - surrogate s q (fun=> rho past) L star)
  <= convergence_bound D2 G eta T.
Proof.
move=> qs sn T_gt0 eta_gt0 G0 LG run gL startD.
apply: (expected_average_le sn T_gt0 eta_gt0 startD) => past.
pose v S := q%:R^-1 *: \sum_(i in top_by (rho past) q S) g past i.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
  (fun S => sqnorm (theta past - eta (size past) *: v S - star))) => [|S _]; last by rewrite run.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
apply: le_trans (@sgd_step R _ _ _ v _ star (eta (size past)) G X_gt0 _) _.
  move=> S SX; apply: sqnorm_estimator SX => // i.
  exact: subgradient_sqnorm (LG i) (gL past i).
rewrite ler_add2r ler_add2l ler_opp2 ler_wpmul2l ?mulr_ge0 ?ler0n ?(ltW (eta_gt0 _)) //.
exact: estimator_descent.
Qed.

(* With a ranking by the losses themselves the weighted losses are the        *)
(* surrogate at the current vector, and at most the surrogate at star.        *)
Lemma weighted_le_surrogate {R : realFieldType} n s q d order (rho : {perm 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) x :
  (q <= s)%N -> (s <= n)%N -> (forall u, ranks (order u) (fun i => L i u)) ->
  surrogate s q (fun=> rho) L x <= surrogate s q order L x.
Proof. by move=> qs sn order_L; apply: ranked_sum_max (order_L x). Qed.

Lemma surrogate_le_ranked {R : realFieldType} n s q d order (rho : {perm 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) x :
  (q <= s)%N -> (s <= n)%N -> ranks rho (fun i => L i x) ->
  surrogate s q order L x <= surrogate s q (fun=> rho) L x.
Proof. by move=> qs sn rho_L; apply: ranked_sum_max rho_L. Qed.

(* ************************************************************************** *)
(* Theorem 3                                                                  *)
(* ************************************************************************** *)

Theorem theorem3 {R : realFieldType} (n s q d T : nat) (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> fresh L rho theta ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta T.
Proof.
move=> qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_L startD.
apply: le_trans (any_ranking_average qs sn T_gt0 eta_gt0 G0 LG run gL startD).
apply: le_expected_average => // past; apply: ler_sub.
  exact: surrogate_le_ranked.
exact: weighted_le_surrogate.
Qed.

(* L_q at an average is at most the average of L_q.                           *)
Lemma surrogate_jensen {R : realFieldType} n s q d T (a : nat -> R)
    (L : 'I_n -> 'rV[R]_d -> R) order (x : nat -> 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (forall u, ranks (order u) (fun i => L i u)) ->
  (forall i, convex (L i)) -> (0 < T)%N -> (forall t, 0 < a t) ->
  surrogate s q order L ((\sum_(t < T) a t)^-1 *: \sum_(t < T) a t *: x t)
  <= (\sum_(t < T) a t)^-1 * \sum_(t < T) a t * surrogate s q order L (x t).
Proof.
by move=> qs sn order_L cL *; apply: jensen => //; apply: surrogate_convex.
Qed.

Lemma average_iterate_error {R : realFieldType} n s q d T (eta : nat -> R)
    (L : 'I_n -> 'rV[R]_d -> R) order (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  (forall i, convex (L i)) -> (forall u, ranks (order u) (fun i => L i u)) ->
  (mean (sequences (candidates n s) T) (fun c =>
     surrogate s q order L (average_iterate eta T theta c) - surrogate s q order L star : R^o) : R)
  <= expected_average s eta T (fun past =>
       surrogate s q order L (theta past) - surrogate s q order L star).
Proof.
move=> qs sn T_gt0 eta_gt0 cL order_L; rewrite /expected_average.
set e := fun past => surrogate s q order L (theta past) - surrogate s q order L star.
under [X in _ <= _ * X]eq_bigr do rewrite -mean_scaleR.
rewrite -(@mean_sum R _ _ [lmodType R of R^o]) -mean_scaleR; apply: mean_le => c _.
have sum_gt0 := sum_steps_gt0 T_gt0 eta_gt0.
rewrite /e; under [X in _ <= _ * X]eq_bigr do rewrite mulrBr.
rewrite sumrB -mulr_suml mulrBr mulrA mulVf ?gt_eqF // mul1r ler_add2r.
exact: (surrogate_jensen (fun t => theta (take t c)) qs sn order_L).
Qed.

Theorem theorem3_average {R : realFieldType} (n s q d T : nat) (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) -> (forall i, convex (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> fresh L rho theta ->
  sqnorm (theta [::] - star) <= D2 ->
  (mean (sequences (candidates n s) T) (fun c =>
     surrogate s q order L (average_iterate eta T theta c) - surrogate s q order L star : R^o) : R)
  <= convergence_bound D2 G eta T.
Proof.
move=> qs sn T_gt0 eta_gt0 G0 LG cL order_L run gL rho_L startD.
apply: le_trans (average_iterate_error theta star qs sn T_gt0 eta_gt0 cL order_L) _.
exact: theorem3 run gL rho_L startD.
Qed.

(* The best iterate is at most the average, so Eq. 6 holds without the factor *)
(* eta_max / eta_min.                                                         *)
Theorem theorem3_best_iterate {R : realFieldType} (n s q d T : nat) (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> fresh L rho theta ->
  sqnorm (theta [::] - star) <= D2 ->
  exists t : 'I_T, (mean (sequences (candidates n s) T) (fun c =>
     surrogate s q order L (theta (take t c)) - surrogate s q order L star : R^o) : R)
  <= convergence_bound D2 G eta T.
Proof.
move=> qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_L startD.
have := theorem3 qs sn T_gt0 eta_gt0 G0 LG order_L run gL rho_L startD.
set B := convergence_bound _ _ _ _.
pose e t : R := mean (sequences (candidates n s) T) (fun c =>
  surrogate s q order L (theta (take t c)) - surrogate s q order L star : R^o).
rewrite -[expected_average _ _ _ _]/((\sum_(t < T) eta t)^-1 * \sum_(t < T) eta t * e t).
have sum_gt0 := sum_steps_gt0 T_gt0 eta_gt0.
case: (boolP [exists t : 'I_T, e t <= B]) => [/existsP[t tB] _|]; first by exists t.
rewrite negb_exists => /forallP aboveB; rewrite ler_pdivr_mull // mulr_suml leNgt.
case/negP; rewrite (bigD1 (Ordinal T_gt0)) // [X in _ < X](bigD1 (Ordinal T_gt0)) //=.
apply: ltr_le_add; first by rewrite ltr_pmul2l // ltNge (aboveB (Ordinal T_gt0)).
by apply: ler_sum => t _; rewrite ler_pmul2l // ltW // ltNge aboveB.
Qed.

(* The best constant step size, D / (G sqrt T), where r is the root of T.     *)
Lemma best_step {R : realFieldType} (D G r : R) (T : nat) :
  0 < D -> 0 < G -> 0 < r -> r ^+ 2 = T%:R ->
  convergence_bound (D ^+ 2) G (fun=> D / (G * r)) T = D * G / r.
Proof.
move=> D_gt0 G_gt0 r_gt0 rT; rewrite /convergence_bound !sumr_const card_ord.
rewrite -[_ ^+ 2 *+ T]mulr_natr -[_ / _ *+ T]mulr_natr -rT; set x := D / (G * r).
have Gr_gt0 : 0 < G * r by apply: mulr_gt0.
have xGr : G * x * r = D by rewrite mulrAC mulrC /x divfK ?gt_eqF.
have -> : G ^+ 2 * (x ^+ 2 * r ^+ 2) = D ^+ 2 by rewrite -xGr !exprMn mulrA.
have den : 2%:R * (x * r ^+ 2) != 0.
  by rewrite !mulf_neq0 ?pnatr_eq0 ?expf_neq0 ?invr_neq0 ?gt_eqF.
have r0 : r != 0 by rewrite gt_eqF.
apply/eqP; rewrite eqr_div // -mulr2n -[D ^+ 2 *+ 2]mulr_natl; apply/eqP.
rewrite [RHS]mulrCA -[LHS]mulrA; congr (2%:R * _).
have -> : D * G * (x * r ^+ 2) = D * (G * x * r) * r by rewrite expr2 !mulrA.
by rewrite xGr expr2.
Qed.

Theorem theorem3_best_step {R : realFieldType} (n s q d T : nat) (D G r : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> 0 < r -> r ^+ 2 = T%:R ->
  0 < D -> 0 < G -> (forall i, lipschitz G (L i)) -> (forall i, convex (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q (fun=> D / (G * r)) rho g theta -> subgradients L g theta ->
  fresh L rho theta -> sqnorm (theta [::] - star) <= D ^+ 2 ->
  (mean (sequences (candidates n s) T) (fun c =>
     surrogate s q order L (average_iterate (fun=> D / (G * r)) T theta c)
     - surrogate s q order L star : R^o) : R)
  <= D * G / r.
Proof.
move=> qs sn T_gt0 r_gt0 rT D_gt0 G_gt0 LG cL order_L run gL rho_L startD.
rewrite -(best_step D_gt0 G_gt0 r_gt0 rT).
apply: theorem3_average order_L run gL rho_L startD => //; last exact: ltW.
by move=> _; rewrite divr_gt0 ?mulr_gt0.
Qed.

(* Where nothing is dropped no ranking matters: Theorem 3 holds for any scores *)
(* if q = s.                                                                  *)
Theorem theorem3_no_pruning {R : realFieldType} (n s d T : nat) (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) -> (forall i, convex (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run s eta rho g theta -> subgradients L g theta ->
  sqnorm (theta [::] - star) <= D2 ->
  expected_average s eta T (fun past =>
    surrogate s s order L (theta past) - surrogate s s order L star)
  <= convergence_bound D2 G eta T /\
  (mean (sequences (candidates n s) T) (fun c =>
     surrogate s s order L (average_iterate eta T theta c) - surrogate s s order L star : R^o) : R)
  <= convergence_bound D2 G eta T.
Proof.
move=> sn T_gt0 eta_gt0 G0 LG cL order_L run gL startD.
suff le1 : expected_average s eta T (fun past =>
    surrogate s s order L (theta past) - surrogate s s order L star)
    <= convergence_bound D2 G eta T.
  by split=> //; apply: le_trans (average_iterate_error _ _ _ sn T_gt0 eta_gt0 cL order_L) _.
have same (r r' : 'rV[R]_d -> {perm 'I_n}) v : surrogate s s r L v <= surrogate s s r' L v.
  rewrite /surrogate ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum => i _.
  by rewrite !sgd_case ?ltn_ord.
apply: le_trans (any_ranking_average (leqnn s) sn T_gt0 eta_gt0 G0 LG run gL startD).
by apply: le_expected_average => // past; apply: ler_sub.
Qed.
