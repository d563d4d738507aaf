(* The surrogate is never below the mean. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Chebyshev's sum inequality for weights that sum to 0: the double sum of    *)
(* (a i - a j) (x i - x j), in which no term is negative, is 2 n sum a i x i. *)
Lemma chebyshev_sum {R : realFieldType} n (a x : 'I_n -> R) : \sum_i a i = 0 ->
  (forall i j, 0 <= (a i - a j) * (x i - x j)) -> 0 <= \sum_i a i * x i.
Proof.
case: n a x => [|n] a x a0 same; first by rewrite big_ord0.
have expand i j : (a i - a j) * (x i - x j)
                  = a i * x i + a j * x j - a i * x j - x i * a j.
  by rewrite mulrBl !mulrBr opprB [a j * x i]mulrC addrACA addrA.
have : 0 <= \sum_i \sum_j (a i - a j) * (x i - x j) by do 2!apply: sumr_ge0 => ? _.
under eq_bigr => i _.
  under eq_bigr do rewrite expand.
  rewrite !sumrB big_split /= sumr_const card_ord -!mulr_sumr a0 mulr0 subr0.
  over.
rewrite sumrB big_split /= sumr_const card_ord -mulr_suml a0 mul0r subr0.
by rewrite sumrMnl -mulr2n -mulrnA pmulrn_lge0.
Qed.

Theorem gap_nonneg {R : realFieldType} : forall (n s q : nat) (x : 'I_n -> R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall i j : 'I_n, (i <= j)%N -> x j <= x i) ->
  0 <= \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) * x j.
Proof.
move=> n s q x q_gt0 qs sn x_anti.
apply: chebyshev_sum (surrogate_weights_sum q_gt0 qs sn) _ => i j.
rewrite opprB addrA subrK -mulrBl mulrAC divr_ge0 ?ler0n //.
case: (leqP i j) => [ij|/ltnW ij].
  by apply: mulr_ge0; rewrite subr_ge0 ?x_anti ?gamma_antitone ?ltnS ?ij ?ltn_ord.
by apply: mulr_le0; rewrite subr_le0 ?x_anti ?gamma_antitone ?ltnS ?ij ?ltn_ord.
Qed.
