(* An unbiased rule: keep the top q1, add q2 uniform ones, reweight. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Stage 1 keeps Q1 = top_by rho q1 S; stage 2 draws U, a set of q2 of the    *)
(* samples outside Q1. Sample i is in Q1 or in U with this probability.       *)
Definition keep_probability {R : realFieldType} {n : nat} (s q1 q2 : nat)
    (rho : {perm 'I_n}) (i : 'I_n) :
    R :=
  gamma n s q1 (rho i).+1
  + (1 - gamma n s q1 (rho i).+1) * (q2%:R / (n - q1)%:R).

(* Given Q1, sample i is kept surely if it is in Q1, else with chance         *)
(* q2 / (n - q1).                                                             *)
Lemma Pr_second_stage {R : realFieldType} n (Q : {set 'I_n}) q2 i :
  (q2 <= n - #|Q|)%N ->
  Pr (draws (~: Q) q2) (fun U => i \in Q :|: U)
  = (i \in Q)%:R + (1 - (i \in Q)%:R) * (q2%:R / (n - #|Q|)%:R) :> R.
Proof.
have cardQ : #|~: Q| = (n - #|Q|)%N by rewrite cardsCs setCK card_ord.
rewrite -cardQ => q2Q; case iQ: (i \in Q).
  rewrite subrr mul0r addr0 (@eq_Pr _ _ _ _ xpredT) => [|U _]; last by rewrite inE iQ.
  rewrite Pr_mean mean_const // card_draws_of bin_gt0 //.
rewrite subr0 mul1r add0r -(@Pr_draws _ _ _ _ i) ?inE ?iQ //.
by apply: eq_Pr => U _; rewrite inE iQ.
Qed.

(* keep_probability is the probability of being kept in the two stages.       *)
Theorem keep_probability_correct {R : realFieldType} :
  forall (n s q1 q2 : nat) (rho : {perm 'I_n})
    (i : 'I_n),
  (q1 <= s)%N -> (s <= n)%N -> (q2 <= n - q1)%N ->
  mean (candidates n s) (fun S =>
    Pr (draws (~: top_by rho q1 S) q2) (fun U => i \in top_by rho q1 S :|: U) : R^o)
  = keep_probability s q1 q2 rho i.
Proof.
move=> n s q1 q2 rho i q1s sn q2n; rewrite /keep_probability -Pr_top_by //.
rewrite -mean_mixture ?card_candidates ?bin_gt0 //; apply: eq_mean => S.
rewrite in_drawsT => /eqP Ss.
have cardQ : #|top_by rho q1 S| = q1 by rewrite card_top_by ?Ss.
by rewrite Pr_second_stage cardQ.
Qed.

(* Both stages together: a sum over the kept samples has every sample in it   *)
(* as often as it is kept.                                                    *)
Lemma mean_two_stages {R : realFieldType} n s q1 q2 (rho : {perm 'I_n})
    (V : lmodType R) (h : 'I_n -> V) :
  (q1 <= s)%N -> (s <= n)%N -> (q2 <= n - q1)%N ->
  mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    \sum_(i in top_by rho q1 S :|: U) h i))
  = \sum_i keep_probability s q1 q2 rho i *: h i.
Proof.
move=> q1s sn q2n.
under eq_mean => S _ do rewrite mean_random_sum.
rewrite mean_sum; apply: eq_bigr => i _.
by rewrite (@mean_scaler _ _ _ _ (fun S => Pr _ _)) keep_probability_correct.
Qed.

(* A second stage, however small, gives every sample a chance.                *)
Theorem keep_probability_gt0 {R : realFieldType} (n s q1 q2 : nat) (rho : {perm 'I_n})
    (i : 'I_n) :
  (q1 <= s)%N -> (s <= n)%N -> (0 < q2 <= n - q1)%N ->
  0 < keep_probability s q1 q2 rho i :> R.
Proof.
move=> q1s sn /andP[q2_gt0 q2n]; rewrite /keep_probability.
have c_gt0 : 0 < q2%:R / (n - q1)%:R :> R.
  by rewrite divr_gt0 ?ltr0n // (leq_trans q2_gt0).
case: (eqVneq (gamma n s q1 (rho i).+1 : R) 0) => [->|g0].
  by rewrite subr0 mul1r add0r.
rewrite ltr_paddr ?lt0r ?g0 ?gamma_ge0 // mulr_ge0 ?(ltW c_gt0) //.
by rewrite subr_ge0 gamma_le1.
Qed.

(* Weighting each kept sample by one over n times its probability undoes the  *)
(* selection, whatever the ranking.                                           *)
Theorem horvitz_thompson_unbiased {R : realFieldType} :
  forall (n s q1 q2 : nat) (rho : {perm 'I_n})
    (V : lmodType R) (g : 'I_n -> V),
  (q1 <= s)%N -> (s <= n)%N -> (0 < q2 <= n - q1)%N ->
  mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    \sum_(i in top_by rho q1 S :|: U)
       (n%:R * keep_probability s q1 q2 rho i)^-1 *: g i))
  = n%:R^-1 *: \sum_(i < n) g i.
Proof.
move=> n s q1 q2 rho V g q1s sn q2n; have /andP[_ q2n'] := q2n.
rewrite mean_two_stages // scaler_sumr; apply: eq_bigr => i _.
by rewrite scalerA invfM mulrCA divff ?mulr1 // gt_eqF // keep_probability_gt0.
Qed.
