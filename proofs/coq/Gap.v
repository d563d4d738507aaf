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

(* The surrogate where the losses are x, and their population variance.       *)
Definition kept_mean {R : realFieldType} {n : nat} (s q : nat) (rho : {perm 'I_n})
    (x : 'I_n -> R) : R :=
  q%:R^-1 * \sum_(i < n) gamma n s q (rho i).+1 * x i.

Definition variance {R : realFieldType} {n : nat} (x : 'I_n -> R) : R :=
  average (fun i => (x i - average x) ^+ 2).

(* How far the weights gamma_j / q are from 1 / n: the square of chi, and the *)
(* total variation.                                                           *)
Definition chi2 {R : realFieldType} (n s q : nat) : R :=
  n%:R * (\sum_(j < n) (gamma n s q j.+1 / q%:R) ^+ 2) - 1.

Definition total_variation {R : realFieldType} (n s q : nat) : R :=
  2%:R^-1 * \sum_(j < n) `|gamma n s q j.+1 / q%:R - n%:R^-1|.

Lemma weights_sum_by {R : realFieldType} n s q (rho : {perm 'I_n}) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  \sum_(i < n) (gamma n s q (rho i).+1 / q%:R - n%:R^-1) = 0 :> R.
Proof.
move=> q_gt0 qs sn; rewrite (sum_by rho (fun j => gamma n s q j.+1 / q%:R - n%:R^-1)).
exact: surrogate_weights_sum.
Qed.

(* The weights sum to 0, so any constant may be subtracted from the values.   *)
Lemma gapE {R : realFieldType} n s q (rho : {perm 'I_n}) (x : 'I_n -> R) c :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  kept_mean s q rho x - average x
  = \sum_(i < n) (gamma n s q (rho i).+1 / q%:R - n%:R^-1) * (x i - c).
Proof.
move=> q_gt0 qs sn; rewrite /kept_mean /average !mulr_sumr -sumrB.
under [RHS]eq_bigr do rewrite mulrBr.
rewrite [RHS]sumrB -[X in _ = _ - X]mulr_suml weights_sum_by // mul0r subr0; apply: eq_bigr => i _.
by rewrite mulrA mulrBl [_ / _]mulrC.
Qed.

(* Cauchy-Schwarz: the double sum of (a i x j - a j x i)^2 is twice the       *)
(* difference.                                                                *)
Lemma cauchy_schwarz_sum {R : realFieldType} (I : finType) (a x : I -> R) :
  (\sum_i a i * x i) ^+ 2 <= (\sum_i a i ^+ 2) * \sum_i x i ^+ 2.
Proof.
pose A := \sum_i a i ^+ 2; pose B := \sum_i x i ^+ 2; pose C := \sum_i a i * x i.
have expand i j : (a i * x j - a j * x i) ^+ 2
    = a i ^+ 2 * x j ^+ 2 + x i ^+ 2 * a j ^+ 2 - (a i * x i * (a j * x j)) *+ 2.
  rewrite sqrrB !exprMn addrAC [a j ^+ 2 * _]mulrC [a j * x i]mulrC.
  by rewrite [a i * x j * _]mulrACA [x j * a j]mulrC.
have : \sum_i \sum_j (a i * x j - a j * x i) ^+ 2 = (A * B - C ^+ 2) *+ 2.
  transitivity (\sum_i (a i ^+ 2 * B + x i ^+ 2 * A - (a i * x i * C) *+ 2)).
    apply: eq_bigr => i _; under eq_bigr do rewrite expand.
    by rewrite sumrB sumrMnl big_split -!mulr_sumr.
  rewrite sumrB sumrMnl big_split -!mulr_suml -/A -/B -/C /= [B * A]mulrC.
  by rewrite mulrnBl -mulr2n expr2.
move=> sum2.
have : 0 <= (A * B - C ^+ 2) *+ 2.
  by rewrite -sum2; do 2!apply: sumr_ge0 => ? _; apply: sqr_ge0.
by rewrite pmulrn_lge0 // subr_ge0.
Qed.

(* x <= y if y is not negative and x^2 <= y^2.                                *)
Lemma le_of_sqr {R : realFieldType} (x y : R) : 0 <= y -> x ^+ 2 <= y ^+ 2 -> x <= y.
Proof.
move=> y0 xy; apply: le_trans (ler_norm x) _.
by rewrite -(ler_pexpn2r (ltn0Sn 1)) ?nnegrE // real_normK // num_real.
Qed.

Lemma chi2E {R : realFieldType} n s q : (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) ^+ 2 = n%:R^-1 * chi2 n s q :> R.
Proof.
move=> q_gt0 qs sn; pose w (j : 'I_n) : R := gamma n s q j.+1 / q%:R.
have n0 : n%:R != 0 :> R by rewrite pnatr_eq0 -lt0n (leq_trans q_gt0 (leq_trans qs sn)).
have sum_w : \sum_j w j = 1.
  by rewrite -mulr_suml -sum_ranks inclusion_sum // divff // pnatr_eq0 -lt0n.
transitivity (\sum_j (w j ^+ 2 - n%:R^-1 *+ 2 * w j + n%:R^-1 * n%:R^-1)).
  by apply: eq_bigr => j _; rewrite -/(w j) sqrrB expr2 mulrnAl [w j * n%:R^-1]mulrC.
rewrite big_split sumrB -mulr_sumr sum_w mulr1 sumr_const card_ord /= /chi2 -/w.
rewrite mulrBr mulr1 mulKf // -[_ / _ *+ n]mulr_natr divfK // mulr2n opprD addrA.
by rewrite subrK.
Qed.

Theorem gap_chi {R : realFieldType} :
  forall (n s q : nat) (rho : {perm 'I_n}) (x : 'I_n -> R) (chi std : R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  0 <= chi -> chi ^+ 2 = chi2 n s q -> 0 <= std -> std ^+ 2 = variance x ->
  kept_mean s q rho x - average x <= chi * std.
Proof.
move=> n s q rho x chi std q_gt0 qs sn chi0 chiE std0 stdE.
have n0 : n%:R != 0 :> R by rewrite pnatr_eq0 -lt0n (leq_trans q_gt0 (leq_trans qs sn)).
have q0 : q%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
rewrite (gapE rho x (average x)) //; set sum := \sum_i _.
apply: le_of_sqr; first exact: mulr_ge0.
rewrite exprMn chiE stdE; apply: le_trans (cauchy_schwarz_sum _ _) _.
rewrite /variance {2}/average mulrA ler_wpmul2r ?sumr_ge0 // => [i _|]; first exact: sqr_ge0.
rewrite (sum_by rho (fun j => (gamma n s q j.+1 / q%:R - n%:R^-1) ^+ 2)) chi2E //.
by rewrite mulrC.
Qed.

Lemma norm_sub_le {R : realFieldType} (a b : R) : 0 <= a -> 0 <= b -> `|a - b| <= a + b.
Proof. by move=> a0 b0; rewrite (le_trans (ler_norm_sub _ _)) // !ger0_norm. Qed.

Theorem gap_tv {R : realFieldType} :
  forall (n s q : nat) (rho : {perm 'I_n}) (x : 'I_n -> R) (lo hi : R),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (forall i, lo <= x i <= hi) ->
  kept_mean s q rho x - average x <= total_variation n s q * (hi - lo).
Proof.
move=> n s q rho x lo hi q_gt0 qs sn x_in.
pose half : R := 2%:R^-1; pose c := (lo + hi) * half.
have two_halves (a : R) : a * half + a * half = a.
  by rewrite -mulrDr /half -mulr2n -[_ *+ 2]mulr_natr mulVf ?mulr1 ?pnatr_eq0.
have near i : `|x i - c| <= (hi - lo) * half.
  have /andP[lox xhi] := x_in i.
  have -> : x i - c = ((x i - lo) - (hi - x i)) * half.
    by rewrite opprB addrACA -opprD mulrBl mulrDl two_halves.
  have half0 : 0 <= half by rewrite invr_ge0 ler0n.
  rewrite normrM (ger0_norm half0) ler_wpmul2r //.
  have -> : hi - lo = (x i - lo) + (hi - x i) by rewrite [RHS]addrC addrA subrK.
  by rewrite norm_sub_le ?subr_ge0.
rewrite (gapE rho x c) //.
apply: (@le_trans _ _ (\sum_i `|gamma n s q (rho i).+1 / q%:R - n%:R^-1| * ((hi - lo) * half))).
  apply: ler_sum => i _; apply: le_trans (ler_norm _) _; rewrite normrM.
  by apply: ler_wpmul2l.
rewrite -mulr_suml (sum_by rho (fun j => `|gamma n s q j.+1 / q%:R - n%:R^-1|)).
by rewrite /total_variation [X in X <= _]mulrC -mulrA [X in X <= _]mulrC.
Qed.

(* No weight is above s / (n q).                                              *)
Lemma weight_le {R : realFieldType} n s q r : (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (0 < r <= n)%N -> gamma n s q r <= s%:R / n%:R :> R.
Proof.
move=> q_gt0 qs sn /andP[r_gt0 rn]; rewrite -(@inclusion_plateau R n s q 1) ?q_gt0 //.
by apply: gamma_antitone => //; rewrite r_gt0.
Qed.

Theorem chi_le {R : realFieldType} :
  forall n s q : nat, (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  chi2 n s q <= s%:R / q%:R - 1 :> R.
Proof.
move=> n s q q_gt0 qs sn; rewrite /chi2 ler_add2r.
have n_gt0 : 0 < n%:R :> R by rewrite ltr0n (leq_trans q_gt0 (leq_trans qs sn)).
have qR : 0 < q%:R :> R by rewrite ltr0n.
rewrite -ler_pdivl_mull //.
apply: (@le_trans _ _ (\sum_(j < n) (s%:R / n%:R / q%:R ^+ 2) * gamma n s q j.+1)).
  apply: ler_sum => j _; rewrite expr_div_n expr2 mulrAC.
  apply: ler_wpmul2r; first exact: gamma_ge0.
  by apply: ler_wpmul2r; rewrite ?invr_ge0 ?sqr_ge0 // weight_le ?ltn_ord.
rewrite -mulr_sumr -sum_ranks inclusion_sum // expr2 invfM -!mulrA mulVf ?gt_eqF // mulr1.
by rewrite [X in X <= _]mulrCA.
Qed.

Theorem tv_le {R : realFieldType} :
  forall n s q : nat, (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  total_variation n s q <= 1 - q%:R / s%:R :> R.
Proof.
move=> n s q q_gt0 qs sn; rewrite /total_variation.
have s_gt0 : 0 < s%:R :> R by rewrite ltr0n (leq_trans q_gt0 qs).
have n_gt0 : 0 < n%:R :> R by rewrite ltr0n (leq_trans q_gt0 (leq_trans qs sn)).
have qR : 0 < q%:R :> R by rewrite ltr0n.
have qs1 : q%:R / s%:R <= 1 :> R by rewrite ler_pdivr_mulr // mul1r ler_nat.
pose w j : R := gamma n s q j.+1 / q%:R.
have sum_w : \sum_(j < n) w j = 1.
  by rewrite -mulr_suml -sum_ranks inclusion_sum // divff ?gt_eqF.
have sum_1 : \sum_(j < n) n%:R^-1 = 1 :> R.
  by rewrite sumr_const card_ord -[_^-1 *+ n]mulr_natr mulVf ?gt_eqF.
pose b : R := q%:R / s%:R.
apply: (@le_trans _ _ (2%:R^-1 * \sum_(j < n) ((w j - b * w j) + (n%:R^-1 - b * w j)))).
  apply: ler_wpmul2l; first by rewrite invr_ge0 ler0n.
  apply: ler_sum => j _; have w0 : 0 <= w j by rewrite divr_ge0 ?gamma_ge0 ?ler0n.
  have -> : gamma n s q j.+1 / q%:R - n%:R^-1 = (w j - b * w j) - (n%:R^-1 - b * w j).
    by rewrite opprB addrA subrK.
  rewrite norm_sub_le ?subr_ge0 //; first by rewrite ler_pimull.
  rewrite /b /w mulrC mulf_div [q%:R * _]mulrC -mulf_div divff ?gt_eqF // mulr1.
  by rewrite ler_pdivr_mulr // mulrC weight_le ?ltn_ord.
rewrite big_split !sumrB -mulr_sumr sum_w sum_1 mulr1 /= -mulr2n.
by rewrite -[(_ - _) *+ 2]mulr_natl mulKf ?pnatr_eq0.
Qed.
