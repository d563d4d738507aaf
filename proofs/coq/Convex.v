(* Inner product, subgradients and convexity. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Definition dot {R : realFieldType} {d : nat} (v u : 'rV[R]_d) : R :=
  \sum_(k < d) v 0 k * u 0 k.

(* v is a subgradient of f at t.                                              *)
Definition subgradient {R : realFieldType} {d : nat} (f : 'rV[R]_d -> R)
    (t v : 'rV[R]_d) : Prop :=
  forall u, f t + dot v (u - t) <= f u.

Definition convex {R : realFieldType} {d : nat} (f : 'rV[R]_d -> R) : Prop :=
  forall (t u : 'rV[R]_d) (a : R), 0 <= a <= 1 ->
    f (a *: t + (1 - a) *: u) <= a * f t + (1 - a) * f u.

(* Adding (r / 2) |t|^2 makes f convex.                                       *)
Definition weakly_convex {R : realFieldType} {d : nat} (r : R) (f : 'rV[R]_d -> R) :
    Prop :=
  convex (fun t => f t + r / 2%:R * dot t t).

Lemma dotDr {R : realFieldType} d (v u w : 'rV[R]_d) :
  dot v (u + w) = dot v u + dot v w.
Proof. by rewrite /dot -big_split; apply: eq_bigr => k _; rewrite mxE mulrDr. Qed.

Lemma dotZr {R : realFieldType} d a (v u : 'rV[R]_d) : dot v (a *: u) = a * dot v u.
Proof. by rewrite /dot mulr_sumr; apply: eq_bigr => k _; rewrite mxE mulrCA. Qed.

Lemma dotC {R : realFieldType} d (v u : 'rV[R]_d) : dot v u = dot u v.
Proof. by apply: eq_bigr => k _; rewrite mulrC. Qed.

Lemma dotDl {R : realFieldType} d (v u w : 'rV[R]_d) : dot (v + u) w = dot v w + dot u w.
Proof. by rewrite !(dotC _ w) dotDr. Qed.

Lemma dotZl {R : realFieldType} d a (v u : 'rV[R]_d) : dot (a *: v) u = a * dot v u.
Proof. by rewrite !(dotC _ u) dotZr. Qed.

Lemma dotNr {R : realFieldType} d (v u : 'rV[R]_d) : dot v (- u) = - dot v u.
Proof. by rewrite -scaleN1r dotZr mulN1r. Qed.

Lemma dotNl {R : realFieldType} d (v u : 'rV[R]_d) : dot (- v) u = - dot v u.
Proof. by rewrite dotC dotNr dotC. Qed.

Lemma dotBr {R : realFieldType} d (v u w : 'rV[R]_d) : dot v (u - w) = dot v u - dot v w.
Proof. by rewrite dotDr dotNr. Qed.

Lemma dotBl {R : realFieldType} d (v u w : 'rV[R]_d) : dot (v - u) w = dot v w - dot u w.
Proof. by rewrite dotDl dotNl. Qed.

Lemma dot0r {R : realFieldType} d (v : 'rV[R]_d) : dot v 0 = 0.
Proof. by rewrite -(scale0r (0 : 'rV[R]_d)) dotZr mul0r. Qed.

Lemma dot0l {R : realFieldType} d (v : 'rV[R]_d) : dot 0 v = 0.
Proof. by rewrite dotC dot0r. Qed.

Lemma dot_sum {R : realFieldType} d (I : finType) (P : pred I) (v : I -> 'rV[R]_d) u :
  dot (\sum_(i | P i) v i) u = \sum_(i | P i) dot (v i) u.
Proof. by rewrite (big_morph (fun v => dot v u) (fun x y => dotDl x y u) (dot0l u)). Qed.

Lemma dot_suml {R : realFieldType} d n (a : 'I_n -> R) (v : 'I_n -> 'rV[R]_d) u :
  dot (\sum_i a i *: v i) u = \sum_i a i * dot (v i) u.
Proof.
rewrite dotC (big_morph (dot u) (dotDr u) (_ : _ = 0)); last first.
  by rewrite /dot big1 // => k _; rewrite mxE mulr0.
by apply: eq_bigr => i _; rewrite dotZr dotC.
Qed.

(* Affine losses: they are convex, and the slope is the subgradient.          *)
Lemma affine_convex {R : realFieldType} d (v : 'rV[R]_d) b :
  convex (fun t => dot v t + b).
Proof.
move=> t u a _; rewrite dotDr !dotZr !mulrDr addrACA -mulrDl.
by rewrite [a + _]addrC subrK mul1r.
Qed.

Lemma affine_subgradient {R : realFieldType} d (v : 'rV[R]_d) b t :
  subgradient (fun u => dot v u + b) t v.
Proof. by move=> u; rewrite addrAC -dotDr [t + _]addrC subrK. Qed.

Lemma subgradient_ext {R : realFieldType} d (f f' : 'rV[R]_d -> R) t v :
  f =1 f' -> subgradient f t v -> subgradient f' t v.
Proof. by move=> eqf sub u; rewrite -!eqf. Qed.
