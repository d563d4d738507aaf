(* What the gradient estimator estimates. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Linearity of the expectation, and inclusion_probability.                   *)
Theorem unbiased {R : realFieldType} :
  forall (n s q : nat) (V : lmodType R) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
  = q%:R^-1 *: \sum_(j < n) gamma n s q j.+1 *: g j.
Proof.
move=> n s q V g qs sn; rewrite mean_scale mean_random_sum; congr (_ *: _).
by apply: eq_bigr => j _; rewrite inclusion_probability.
Qed.

Theorem unbiased_stale {R : realFieldType} : forall (n s q : nat) (rho : {perm 'I_n})
    (V : lmodType R) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by rho q S) g i)
  = q%:R^-1 *: \sum_(i < n) gamma n s q (rho i).+1 *: g i.
Proof.
move=> n s q rho V g qs sn; rewrite mean_scale mean_random_sum; congr (_ *: _).
by apply: eq_bigr => i _; rewrite Pr_top_by.
Qed.

Lemma surrogate_weights_sum {R : realFieldType} n s q : (0 < q)%N -> (q <= s)%N ->
  (s <= n)%N ->
  \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) = 0 :> R.
Proof.
move=> q_gt0 qs sn; have n_gt0 := leq_trans q_gt0 (leq_trans qs sn).
rewrite sumrB -mulr_suml -sum_ranks inclusion_sum // divff ?pnatr_eq0 -?lt0n //.
by rewrite sumr_const card_ord -mulr_natr mulVf ?subrr // pnatr_eq0 -lt0n.
Qed.

(* The condition: the gap's weights, applied to the gradients, give zero.     *)
Theorem unbiased_for_mean_iff {R : realFieldType} :
  forall (n s q : nat) (V : lmodType R) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
   = n%:R^-1 *: (\sum_(i < n) g i))
  <-> (\sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) *: g j = 0).
Proof.
move=> n s q V g qs sn; rewrite unbiased // !scaler_sumr.
have -> : \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) *: g j
  = \sum_(j < n) q%:R^-1 *: (gamma n s q j.+1 *: g j) - \sum_(j < n) n%:R^-1 *: g j.
  by rewrite -sumrB; apply: eq_bigr => j _; rewrite scalerBl mulrC -scalerA.
by split=> [->|/eqP]; [rewrite subrr | rewrite subr_eq0 => /eqP].
Qed.

(* It holds for all gradients exactly for q = s, plain SGD on the candidates. *)
Theorem unbiased_for_all_iff_sgd {R : realFieldType} : forall n s q : nat,
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall g : 'I_n -> R^o,
     mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
     = n%:R^-1 *: \sum_(i < n) g i)
  <-> q = s.
Proof.
move=> n s q q_gt0 qs sn; split=> [all_g|->].
  apply/eqP; rewrite eqn_leq qs leqNgt; apply/negP => qs'.
  have n_gt0 : (0 < n)%N by apply: leq_trans q_gt0 (leq_trans qs sn).
  pose last := Ordinal (eq_leq (prednK n_gt0)).
  have /unbiased_for_mean_iff := all_g (fun i => (i == last)%:R); move=> /(_ qs sn).
  rewrite (bigD1 last) //= big1 => [|i /negPf->]; last by rewrite scaler0.
  rewrite eqxx addr0 [_ *: _]mulr1 prednK // (_ : gamma _ _ _ _ = 0).
    by move/eqP; rewrite mul0r sub0r oppr_eq0 invr_eq0 pnatr_eq0 eqn0Ngt n_gt0.
  apply/inclusion_support; rewrite ?n_gt0 ?leqnn // ltn_subrL subn_gt0 qs' //.
move=> g; apply/unbiased_for_mean_iff => //; rewrite big1 // => j _.
rewrite sgd_case ?ltn_ord // mulrAC divff ?mul1r ?subrr ?scale0r // pnatr_eq0 -lt0n.
exact: leq_trans q_gt0 qs.
Qed.
