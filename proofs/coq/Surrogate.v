(* The surrogate loss: Theorem 1 for subgradients. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex.

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
move=> qs sn rho_x.
have := @unbiased_stale R n s q _ [lmodType R of R^o] x qs sn => as_mean.
rewrite -[X in X <= _]as_mean -[X in _ <= X]as_mean; apply: mean_le => S.
rewrite in_drawsT => /eqP Ss; apply: ler_wpmul2l; first by rewrite invr_ge0 ler0n.
apply: top_by_max rho_x _ _; last by rewrite !card_top_by ?Ss.
by apply/subsetP => i; rewrite inE => /andP[].
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
