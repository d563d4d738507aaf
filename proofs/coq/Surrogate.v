(* The surrogate loss: Theorem 1 for subgradients. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement.
From OrderDP Require Import Inclusion Unbiased Convex.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The surrogate loss at t, where rho is the ranking of the losses at t.      *)
Definition surrogate {R : realFieldType} {n d : nat} (s q : nat)
    (rho : 'rV[R]_d -> {perm 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) (t : 'rV[R]_d) : R :=
  q%:R^-1 * \sum_(i < n) gamma n s q (rho t i).+1 * L i t.

(* So ranking the losses by themselves makes the weighted sum largest.        *)
Lemma ranked_sum_max {R : realFieldType} n s q (rho rho' : {perm 'I_n})
    (x : 'I_n -> R) :
  (q <= s)%N -> (s <= n)%N -> ranks rho x ->
  q%:R^-1 * (\sum_(i < n) gamma n s q (rho' i).+1 * x i)
  <= q%:R^-1 * (\sum_(i < n) gamma n s q (rho i).+1 * x i).
Proof.
move=> qs sn rho_x; apply: ler_wpmul2l; first by rewrite invr_ge0 ler0n.
apply: (rearrangement (w := fun r => gamma n s q r.+1)) rho_x => r rn.
exact: inclusion_antitone.
Qed.

(* L_q is the largest of the sums that the same weights give in any order.    *)
Theorem surrogate_max {R : realFieldType} :
  forall (n s q d : nat) (rho : 'rV[R]_d -> {perm 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) (t : 'rV[R]_d),
  (q <= s)%N -> (s <= n)%N -> ranks (rho t) (fun i => L i t) ->
  (forall pi : {perm 'I_n}, q%:R^-1 * (\sum_(i < n) gamma n s q (pi i).+1 * L i t)
     <= surrogate s q rho L t)
  /\ exists pi : {perm 'I_n}, q%:R^-1 * (\sum_(i < n) gamma n s q (pi i).+1 * L i t)
       = surrogate s q rho L t.
Proof.
move=> n s q d rho L t qs sn rho_L; split; last by exists (rho t).
by move=> pi; apply: ranked_sum_max.
Qed.

(* Weights that never rise and are not negative: the ranked sum of convex     *)
(* losses, a maximum of their sums, is convex.                                *)
Lemma ranked_convex {R : realFieldType} n d (w : nat -> R)
    (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R) :
  (forall r, (r.+1 < n)%N -> w r.+1 <= w r) -> (forall r, 0 <= w r) ->
  (forall u, ranks (rho u) (fun i => L i u)) -> (forall i, convex (L i)) ->
  convex (fun t => \sum_i w (rho t i) * L i t).
Proof.
move=> w_anti w_ge0 rho_L cL t u a a01; set v := _ + _.
apply: (@le_trans _ _ (\sum_i w (rho v i) * (a * L i t + (1 - a) * L i u))).
  by apply: ler_sum => i _; apply: ler_wpmul2l => //; apply: cL.
under eq_bigr do rewrite mulrDr !(mulrCA (w _)).
have /andP[a0 a1] := a01; rewrite big_split -!mulr_sumr /=.
by apply: ler_add; apply: ler_wpmul2l; rewrite ?subr_ge0 //; apply: rearrangement.
Qed.

Lemma convex_scale {R : realFieldType} d (c : R) (f : 'rV[R]_d -> R) :
  0 <= c -> convex f -> convex (fun t => c * f t).
Proof.
move=> c0 cf t u a a01; rewrite 2!(mulrCA _ c) -mulrDr.
by apply: ler_wpmul2l => //; apply: cf.
Qed.

Lemma convex_ext {R : realFieldType} d (f f' : 'rV[R]_d -> R) :
  f =1 f' -> convex f -> convex f'.
Proof. by move=> eqf cf t u a a01; rewrite -!eqf; apply: cf. Qed.

Theorem surrogate_convex {R : realFieldType} :
  forall (n s q d : nat) (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R),
  (q <= s)%N -> (s <= n)%N ->
  (forall u, ranks (rho u) (fun i => L i u)) -> (forall i, convex (L i)) ->
  convex (surrogate s q rho L).
Proof.
move=> n s q d rho L qs sn rho_L cL.
apply: convex_scale; first by rewrite invr_ge0 ler0n.
apply: (ranked_convex (w := fun r => gamma n s q r.+1)) => // r *; last exact: gamma_ge0.
exact: inclusion_antitone.
Qed.

(* The weights sum to 1, so (r / 2) |t|^2 may be added to every loss.         *)
Theorem surrogate_weakly_convex {R : realFieldType} :
  forall (n s q d : nat) (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R)
    (r : R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall u, ranks (rho u) (fun i => L i u)) -> (forall i, weakly_convex r (L i)) ->
  weakly_convex r (surrogate s q rho L).
Proof.
move=> n s q d rho L r q_gt0 qs sn rho_L cL; rewrite /weakly_convex.
pose L' i t := L i t + r / 2%:R * dot t t.
have rho_L' u : ranks (rho u) (fun i => L' i u).
  by move=> i k ik; rewrite ler_add2r; apply: rho_L.
apply: convex_ext (surrogate_convex qs sn rho_L' cL) => t.
rewrite /surrogate /L'; under eq_bigr do rewrite mulrDr.
rewrite big_split mulrDr -mulr_suml /= mulrA; congr (_ + _).
by rewrite inclusion_sum_by // -mulrA mulKf // pnatr_eq0 -lt0n.
Qed.

(* With fresh scores the expected gradient is a subgradient of the surrogate, *)
(* however ties are broken.                                                   *)
Theorem surrogate_subgradient {R : realFieldType} : forall (n s q d : nat)
    (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R)
    (t : 'rV[R]_d) (g : 'I_n -> 'rV[R]_d),
  (q <= s)%N -> (s <= n)%N ->
  (forall u, ranks (rho u) (fun i => L i u)) ->
  (forall i, subgradient (L i) t (g i)) ->
  subgradient (surrogate s q rho L) t
    (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by (rho t) q S) g i)).
Proof.
move=> n s q d rho L t g qs sn rho_L gL u; rewrite unbiased_stale //.
apply: le_trans (ranked_sum_max (rho t) qs sn (rho_L u)).
rewrite /surrogate dotC dotZr dotC dot_suml -mulrDr.
rewrite ler_wpmul2l ?invr_ge0 ?ler0n // -big_split /=.
apply: ler_sum => i _; rewrite -mulrDr ler_wpmul2l ?gamma_ge0 //; exact: gL.
Qed.
