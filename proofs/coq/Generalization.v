(* Theorem 4 as printed fails for the population risk: training fits labels   *)
(* of which half are wrong elsewhere in the population.                       *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate Gap Vectors Convergence Transfer.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The terms of the printed bound: C_s; the largest loss and the smallest     *)
(* value of f at the iterates x 0, ..., x (T - 1).                            *)
Definition spectrum_deviation {R : realFieldType} (n s q : nat) : R :=
  \big[Num.max/0]_(j < n) `|n%:R * (gamma n s q j.+1 / q%:R) - 1|.

Definition largest_loss {R : realFieldType} {n d : nat} (L : 'I_n -> 'rV[R]_d -> R)
    (v : 'rV[R]_d) : R :=
  \big[Num.max/0]_(i < n) `|L i v|.

Definition smallest {R : realFieldType} {d : nat} (f : 'rV[R]_d -> R) (T : nat)
    (x : nat -> 'rV[R]_d) : R :=
  \big[Num.min/f (x 0%N)]_(t < T) f (x t).

(* The right-hand side of Theorem 4 for a constant step size, with which      *)
(* eta_max / eta_min = 1; root is the square root of 2 (n - s) / (s (n - 1)). *)
Definition printed_bound {R : realFieldType} {n d : nat} (s q : nat) (root D2 G eta : R)
    (T : nat) (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (x : nat -> 'rV[R]_d) : R :=
  spectrum_deviation n s q * smallest (largest_loss L) T x * root
  - smallest (fun v => gap s q (order v) (fun i => L i v)) T x
  + convergence_bound D2 G (fun=> eta) T.

(* An example of the population is a coordinate k < n with a label, +1 or -1, *)
(* all alike likely; its loss is |v_k - label|.                               *)
Definition label {R : realFieldType} (y : bool) : R := if y then 1 else - 1.

Definition example_loss {R : realFieldType} {n : nat} (z : 'I_n * bool) (v : 'rV[R]_n) : R :=
  `|v 0 z.1 - label z.2|.

Definition risk {R : realFieldType} {n : nat} (v : 'rV[R]_n) : R :=
  mean [set: 'I_n * bool] (fun z => example_loss z v : R^o).

Lemma risk_ge1 {R : realFieldType} n (v : 'rV[R]_n) : (0 < n)%N -> 1 <= risk v.
Proof.
move=> n_gt0; rewrite /risk /mean cardsT card_prod card_ord card_bool.
rewrite -[_ *: _]/(_ * _) ler_pdivl_mull ?ltr0n ?muln_gt0 ?n_gt0 // mulr1.
rewrite (eq_bigl xpredT) => [|z]; last by rewrite inE.
rewrite -(pair_bigA _ (fun k y => example_loss (k, y) v)) /=.
apply: (@le_trans _ _ (\sum_(k < n) 2%:R)).
  by rewrite sumr_const card_ord natrM mulr_natl.
apply: ler_sum => k _; rewrite big_bool /example_loss /label /= opprK.
have -> : 2%:R = (v 0 k + 1) - (v 0 k - 1) :> R.
  by rewrite opprB addrC addrA subrK -(natrD _ 1 1).
by rewrite [X in _ <= X]addrC; apply: le_trans (ler_norm _) (ler_norm_sub _ _).
Qed.

Lemma example_convex {R : realFieldType} n (z : 'I_n * bool) : convex (@example_loss R n z).
Proof.
move=> t u a /andP[a0 a1]; have a1' : 0 <= 1 - a by rewrite subr_ge0.
rewrite /example_loss !mxE; set l := label _.
have -> : a * t 0 z.1 + (1 - a) * u 0 z.1 - l
          = a * (t 0 z.1 - l) + (1 - a) * (u 0 z.1 - l).
  by rewrite !mulrBr addrACA -opprD -mulrDl [a + _]addrC subrK mul1r.
by apply: le_trans (ler_norm_add _ _) _; rewrite !normrM (ger0_norm a0) (ger0_norm a1').
Qed.

Lemma coordinate_le {R : realFieldType} d (v : 'rV[R]_d) k : v 0 k ^+ 2 <= sqnorm v.
Proof.
rewrite /sqnorm /dot (bigD1 k) //= -expr2 ler_addl.
by apply: sumr_ge0 => i _; apply: sqr_ge0.
Qed.

Lemma example_lipschitz {R : realFieldType} n (z : 'I_n * bool) :
  lipschitz 1 (@example_loss R n z).
Proof.
move=> t u; rewrite expr1n mul1r /example_loss; apply: le_trans (coordinate_le _ z.1).
have /= := ler_dist_dist (u 0 z.1 - label z.2) (t 0 z.1 - label z.2).
rewrite opprB addrA subrK !mxE => le1.
rewrite -[X in X <= _]real_normK ?num_real // -[X in _ <= X]real_normK ?num_real //.
by rewrite ler_expn2r ?nnegrE.
Qed.

Lemma smallest_const {R : realFieldType} d (f : 'rV[R]_d -> R) T v :
  smallest f T (fun=> v) = f v.
Proof. by rewrite /smallest; elim/big_rec: _ => // t x _ ->; rewrite minxx. Qed.

(* The sample i is the coordinate i with the label y i. Training that stands  *)
(* at the vector of the labels fits them: all losses, the gap and the bound's *)
(* first two terms are zero, and the third is eta / 2, below the risk's least *)
(* value, 1.                                                                  *)
Theorem theorem4_counterexample {R : realFieldType} (n s q T : nat) (eta root : R)
    (y : 'I_n -> bool) (rho : seq {set 'I_n} -> {perm 'I_n})
    (order : 'rV[R]_n -> {perm 'I_n}) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> 0 < eta < 2%:R ->
  let L i := example_loss (i, y i) in
  let star := \row_i label (y i) in
  let theta (past : seq {set 'I_n}) : 'rV[R]_n := star in
  let g (past : seq {set 'I_n}) (i : 'I_n) : 'rV[R]_n := 0 in
  (forall u, ranks (order u) (fun i => L i u)) -> fresh L rho theta ->
  [/\ forall i, convex (L i), forall i, lipschitz 1 (L i),
      forall v, surrogate s q order L star <= surrogate s q order L v
    & orderdp_run q (fun=> eta) rho g theta /\ subgradients L g theta] /\
  forall (v : 'rV[R]_n) past,
  printed_bound s q root (sqnorm (theta [::] - star)) 1 eta T L order (fun t => theta past)
  < risk v - surrogate s q order L (theta past).
Proof.
move=> q_gt0 qs sn T_gt0 /andP[eta_gt0 eta2] L star theta g order_L rho_L.
have n_gt0 := leq_trans q_gt0 (leq_trans qs sn).
have L0 i : L i star = 0 by rewrite /L /example_loss mxE subrr normr0.
have Lq0 : surrogate s q order L star = 0.
  by rewrite /surrogate big1 ?mulr0 // => i _; rewrite L0 mulr0.
split.
  split=> [i|i|v|]; [exact: example_convex | exact: example_lipschitz | |].
    rewrite Lq0 mulr_ge0 ?invr_ge0 ?ler0n //; apply: sumr_ge0 => i _.
    by apply: mulr_ge0; [apply: gamma_ge0 | apply: normr_ge0].
  split=> [past S|past i u]; last by rewrite /theta /g L0 dot0l addr0; apply: normr_ge0.
  by rewrite big1 // !scaler0 subr0.
move=> v past; rewrite /theta Lq0 subr0; apply: lt_le_trans (risk_ge1 v n_gt0).
rewrite /printed_bound !smallest_const subrr sqnorm0.
have -> : largest_loss L star = 0.
  by rewrite /largest_loss; elim/big_rec: _ => // i x _ ->; rewrite L0 normr0 maxxx.
have -> : gap s q (order star) (fun i => L i star) = 0.
  by rewrite /gap /kept_mean /average !big1 ?mulr0 ?subrr // => i _; rewrite L0 ?mulr0.
rewrite mulr0 mul0r subr0 add0r /convergence_bound add0r expr1n mul1r !sumr_const card_ord.
have T0 : 0 < T%:R :> R by rewrite ltr0n.
rewrite ltr_pdivr_mulr ?mulr_gt0 ?ltr0n ?pmulrn_lgt0 // mul1r.
by rewrite -[eta *+ T]mulr_natr -[_ *+ T]mulr_natr mulrA ltr_pmul2r // expr2 ltr_pmul2r.
Qed.
