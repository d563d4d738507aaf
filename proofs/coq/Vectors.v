(* Vectors without square roots: squared norm, Cauchy-Schwarz, Lipschitz      *)
(* functions.                                                                 *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Convex Gap.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The squared Euclidean norm.                                                *)
Definition sqnorm {R : realFieldType} {d : nat} (v : 'rV[R]_d) : R := dot v v.

(* |f u - f t| <= G |u - t|, squared.                                         *)
Definition lipschitz {R : realFieldType} {d : nat} (G : R) (f : 'rV[R]_d -> R) : Prop :=
  forall t u, (f u - f t) ^+ 2 <= G ^+ 2 * sqnorm (u - t).

Lemma sqnorm_ge0 {R : realFieldType} d (v : 'rV[R]_d) : 0 <= sqnorm v.
Proof. by apply: sumr_ge0 => k _; apply: sqr_ge0. Qed.

Lemma sqnorm0 {R : realFieldType} d : sqnorm (0 : 'rV[R]_d) = 0.
Proof. exact: dot0r. Qed.

Lemma sqnormZ {R : realFieldType} d a (v : 'rV[R]_d) : sqnorm (a *: v) = a ^+ 2 * sqnorm v.
Proof. by rewrite /sqnorm dotZr dotZl mulrA. Qed.

Lemma sqnormN {R : realFieldType} d (v : 'rV[R]_d) : sqnorm (- v) = sqnorm v.
Proof. by rewrite -scaleN1r sqnormZ sqrrN expr1n mul1r. Qed.

Lemma sqnormD {R : realFieldType} d (v u : 'rV[R]_d) :
  sqnorm (v + u) = sqnorm v + 2%:R * dot v u + sqnorm u.
Proof.
rewrite /sqnorm dotDl !dotDr [dot u v]dotC mulr_natl mulr2n.
by rewrite !addrA.
Qed.

Lemma sqnormB {R : realFieldType} d (v u : 'rV[R]_d) :
  sqnorm (v - u) = sqnorm v - 2%:R * dot v u + sqnorm u.
Proof. by rewrite sqnormD dotNr mulrN sqnormN. Qed.

Lemma cauchy_schwarz {R : realFieldType} d (v u : 'rV[R]_d) :
  dot v u ^+ 2 <= sqnorm v * sqnorm u.
Proof. exact: cauchy_schwarz_sum. Qed.

Lemma dot_le {R : realFieldType} d (a b : R) (v u : 'rV[R]_d) : 0 <= a -> 0 <= b ->
  sqnorm v <= a ^+ 2 -> sqnorm u <= b ^+ 2 -> dot v u <= a * b.
Proof.
move=> a0 b0 va ub; apply: le_of_sqr; first exact: mulr_ge0.
apply: le_trans (cauchy_schwarz v u) _; rewrite exprMn.
by apply: ler_pmul; rewrite ?sqnorm_ge0.
Qed.

Lemma sqnormD_le {R : realFieldType} d (a b : R) (v u : 'rV[R]_d) : 0 <= a -> 0 <= b ->
  sqnorm v <= a ^+ 2 -> sqnorm u <= b ^+ 2 -> sqnorm (v + u) <= (a + b) ^+ 2.
Proof.
move=> a0 b0 va ub; rewrite sqnormD sqrrD -[a * b *+ 2]mulr_natl; apply: ler_add => //.
by apply: ler_add => //; apply: ler_wpmul2l; [exact: ler0n | exact: dot_le].
Qed.

(* The mean of vectors of norm at most G has norm at most G.                  *)
Lemma sqnorm_sum {R : realFieldType} d (I : finType) (Q : {set I}) (G : R) (g : I -> 'rV[R]_d) :
  0 <= G -> (forall i, sqnorm (g i) <= G ^+ 2) ->
  sqnorm (\sum_(i in Q) g i) <= (#|Q|%:R * G) ^+ 2.
Proof.
move=> G0 gG; rewrite -sum1_card natr_sum mulr_suml.
suff [] : 0 <= \sum_(i in Q) 1 * G /\
          sqnorm (\sum_(i in Q) g i) <= (\sum_(i in Q) 1 * G) ^+ 2 by [].
apply: (big_rec2 (fun v r => 0 <= r /\ sqnorm v <= r ^+ 2)).
  by rewrite sqnorm0 sqr_ge0.
by move=> i v r _ [r0 vr]; rewrite mul1r addr_ge0 // sqnormD_le.
Qed.

Lemma sqnorm_mean {R : realFieldType} d (I : finType) (Q : {set I}) (q : nat) (G : R)
    (g : I -> 'rV[R]_d) :
  0 <= G -> (forall i, sqnorm (g i) <= G ^+ 2) -> (#|Q| <= q)%N ->
  sqnorm (q%:R^-1 *: \sum_(i in Q) g i) <= G ^+ 2.
Proof.
move=> G0 gG Qq; rewrite sqnormZ; case: (posnP q) => [->|q_gt0].
  by rewrite invr0 expr0n mul0r sqr_ge0.
apply: le_trans (ler_wpmul2l (sqr_ge0 _) (sqnorm_sum Q G0 gG)) _.
have q0 : 0 <= q%:R^-1 :> R by rewrite invr_ge0 ler0n.
rewrite -exprMn mulrA ler_expn2r ?nnegrE ?mulr_ge0 ?ler0n //.
by rewrite ler_pimull // mulrC ler_pdivr_mulr ?ltr0n // mul1r ler_nat.
Qed.

Lemma lipschitz_le {R : realFieldType} d (G r : R) (f : 'rV[R]_d -> R) t u :
  0 <= G -> 0 <= r -> lipschitz G f -> sqnorm (u - t) <= r ^+ 2 -> f u - f t <= G * r.
Proof.
move=> G0 r0 fG utr; apply: le_of_sqr; first exact: mulr_ge0.
by rewrite exprMn; apply: le_trans (fG t u) _; rewrite ler_wpmul2l ?sqr_ge0.
Qed.

(* A subgradient of a G-Lipschitz function has norm at most G.                *)
Lemma subgradient_sqnorm {R : realFieldType} d (G : R) (f : 'rV[R]_d -> R) t v :
  lipschitz G f -> subgradient f t v -> sqnorm v <= G ^+ 2.
Proof.
move=> fG fv; have [v0|v0] := eqVneq (sqnorm v) 0; first by rewrite v0 sqr_ge0.
have v_gt0 : 0 < sqnorm v by rewrite lt_neqAle eq_sym v0 sqnorm_ge0.
have := fv (t + v); have := fG t (t + v); rewrite addrAC subrr add0r => le2 le1.
rewrite -(ler_pmul2r v_gt0) -expr2; apply: le_trans le2.
by rewrite ler_expn2r ?nnegrE ?sqnorm_ge0 // ?subr_ge0 // ?ler_subr_addl // -?ler_subr_addl;
   apply: le_trans le1; rewrite ler_addl sqnorm_ge0.
Qed.
