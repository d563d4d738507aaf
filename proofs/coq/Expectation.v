(* Finite expectations: probability and mean for a uniform draw. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Probability of P and expectation of f, for x uniform on the finite set X.  *)
Definition Pr {R : realFieldType} {T : finType} (X : {set T}) (P : pred T) : R :=
  #|[set x in X | P x]|%:R / #|X|%:R.

Definition mean {R : realFieldType} {T : finType} {V : lmodType R} (X : {set T})
    (f : T -> V) : V :=
  #|X|%:R^-1 *: \sum_(x in X) f x.

Lemma eq_Pr {R : realFieldType} (T : finType) (X : {set T}) (P P' : pred T) :
  {in X, P =1 P'} -> Pr X P = Pr X P' :> R.
Proof.
move=> eqP; rewrite /Pr; congr (_%:R / _); apply: eq_card => x.
by rewrite !inE; case xX: (x \in X); rewrite //= eqP.
Qed.

Lemma eq_mean {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f f' : T -> V) :
  {in X, f =1 f'} -> mean X f = mean X f'.
Proof. by move=> eqf; rewrite /mean (eq_bigr f'). Qed.

Lemma mean_const {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (v : V) :
  (0 < #|X|)%N -> mean X (fun=> v) = v.
Proof.
move=> X_gt0; rewrite /mean sumr_const -scaler_nat scalerA mulVf ?scale1r //.
by rewrite pnatr_eq0 -lt0n.
Qed.

Lemma mean_le {R : realFieldType} (T : finType) (X : {set T}) (f f' : T -> R^o) :
  (forall x, x \in X -> (f x : R) <= f' x) -> (mean X f : R) <= mean X f'.
Proof. by move=> ff'; rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum. Qed.

Lemma mean_add {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f f' : T -> V) :
  mean X (fun x => f x + f' x) = mean X f + mean X f'.
Proof. by rewrite /mean big_split scalerDr. Qed.

Lemma mean_sum {R : realFieldType} (T I : finType) (V : lmodType R) (X : {set T})
    (P : pred I) (f : T -> I -> V) :
  mean X (fun x => \sum_(i | P i) f x i) = \sum_(i | P i) mean X (f ^~ i).
Proof. by rewrite /mean exchange_big scaler_sumr. Qed.

Lemma mean_scale {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (a : R) (f : T -> V) :
  mean X (fun x => a *: f x) = a *: mean X f.
Proof. by rewrite /mean -scaler_sumr !scalerA mulrC. Qed.

Lemma mean_scaler {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f : T -> R^o) v :
  mean X (fun x => f x *: v : V) = mean X f *: v.
Proof. by rewrite /mean -scaler_suml scalerA. Qed.

Lemma Pr_mean {R : realFieldType} (T : finType) (X : {set T}) (P : pred T) :
  Pr X P = mean X (fun x => (P x)%:R : R^o).
Proof.
rewrite /mean /Pr -sum1_card natr_sum big_mkcond /= /GRing.scale /= mulrC.
congr (_ * _); rewrite [RHS]big_mkcond; apply: eq_bigr => x _.
by rewrite inE; case: (x \in X) => //=; case: (P x).
Qed.

(* The mean of a sum over a random set: each term counts as often as its      *)
(* index is in the set.                                                       *)
Lemma mean_random_sum {R : realFieldType} (T I : finType) (V : lmodType R) (X : {set T})
    (Q : T -> {set I}) (g : I -> V) :
  mean X (fun x => \sum_(i in Q x) g i) = \sum_i Pr X (fun x => i \in Q x) *: g i.
Proof.
under eq_bigr do rewrite Pr_mean -mean_scaler.
rewrite -mean_sum; apply: eq_mean => x _; rewrite big_mkcond /=.
by apply: eq_bigr => i _; case: (_ \in _); rewrite ?scale1r ?scale0r.
Qed.

(* The mean squared distance from c: the variance plus the square of the bias.*)
Lemma mean_sqr {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) (c : R) :
  (0 < #|X|)%N -> let m : R := mean X (f : T -> R^o) in
  (mean X (fun x => (f x - c) ^+ 2 : R^o) : R)
  = (mean X (fun x => (f x - m) ^+ 2 : R^o) : R) + (m - c) ^+ 2.
Proof.
move=> X_gt0 m; pose sq (x : T) : R^o := (f x - m) ^+ 2.
pose cross (x : T) : R^o := ((m - c) *+ 2) *: (f x + - m : R^o).
pose rest (x : T) : R^o := (m - c) ^+ 2; pose shift (x : T) : R^o := - m.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => sq x + cross x + rest x)).
  rewrite 2!mean_add mean_scale (@mean_add R _ [lmodType R of R^o] X f shift) !mean_const // -/m.
  by rewrite /shift subrr scaler0 addr0.
move=> x _; rewrite /sq /cross /rest /GRing.scale /= -[f x - c](subrKA m) sqrrD.
by rewrite -mulrnAr [(m - c) *+ 2 * _]mulrC.
Qed.

(* Jensen's inequality for the square.                                        *)
Lemma mean_sqr_ge {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) :
  (0 < #|X|)%N ->
  (mean X (f : T -> R^o) : R) ^+ 2 <= (mean X (fun x => f x ^+ 2 : R^o) : R).
Proof.
move=> X_gt0; have := mean_sqr f 0 X_gt0; rewrite /= subr0.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => f x ^+ 2)) => [->|x _].
  by rewrite ler_addr mulr_ge0 ?invr_ge0 ?ler0n //; apply: sumr_ge0 => x _; apply: sqr_ge0.
by rewrite subr0.
Qed.

Lemma mean_mixture {R : realFieldType} (T : finType) (X : {set T}) (P : pred T)
    (c : R) : (0 < #|X|)%N ->
  mean X (fun x => (P x)%:R + (1 - (P x)%:R) * c : R^o) = Pr X P + (1 - Pr X P) * c.
Proof.
move=> X_gt0; have mix (b : R) : b + (1 - b) * c = (1 - c) * b + c.
  by rewrite !mulrBl !mul1r [c * b]mulrC addrA addrAC.
pose f (x : T) : R^o := (1 - c) *: ((P x)%:R : R^o); pose f' (x : T) : R^o := c.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => f x + f' x)); last first.
  by move=> x _; apply: mix.
by rewrite mean_add mean_const // mean_scale -Pr_mean mix.
Qed.

(* Drawing k elements of B uniformly takes each of them with chance k / #|B|. *)
Lemma Pr_draws {R : realFieldType} (T : finType) (B : {set T}) k x : x \in B ->
  (k <= #|B|)%N ->
  Pr (draws B k) (fun U => x \in U) = k%:R / #|B|%:R :> R.
Proof.
move=> xB kB; have B_gt0 : (0 < #|B|)%N by apply/card_gt0P; exists x.
rewrite /Pr; case: k kB => [_|k kB].
  rewrite mul0r eq_card0 ?mul0r // => U; rewrite !inE cards_eq0.
  by case: eqP => [->|]; rewrite ?andbF // inE andbF.
rewrite card_draws_with // card_draws_of; apply/eqP.
by rewrite eqr_div ?pnatr_eq0 -?lt0n ?bin_gt0 // -!natrM mulnC mul_bin_diag.
Qed.
