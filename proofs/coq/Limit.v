(* The limit for a growing population is a tail of the Beta distribution.     *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Less than q successes in D draws, each with probability X.                 *)
Definition binomial_below {R : realFieldType} (D q : nat) : {poly R} :=
  \sum_(l < q) 'C(D, l)%:R *: ('X^l * (1 - 'X) ^+ (D - l)).

(* The paper's limit gamma, and the density of the Beta(a, b) distribution.   *)
Definition limit_gamma {R : realFieldType} (s q : nat) : {poly R} :=
  s%:R *: binomial_below (s - 1) q.

Definition beta_density {R : realFieldType} (a b : nat) : {poly R} :=
  ((a + b - 1)`!%:R / ((a - 1)`!%:R * (b - 1)`!%:R)) *: ('X^(a - 1) * (1 - 'X) ^+ (b - 1)).

(* The derivatives of the terms telescope.                                    *)
Lemma deriv_binomial_below {R : realFieldType} D q : (q <= D)%N ->
  (binomial_below D q)^`()
  = - ((q * 'C(D, q))%:R *: ('X^q.-1 * (1 - 'X) ^+ (D - q))) :> {poly R}.
Proof.
rewrite /binomial_below; elim: q => [|q IH] qD.
  by rewrite big_ord0 deriv0 mul0n scale0r oppr0.
have d1X : (1 - 'X)^`() = -1 :> {poly R} by rewrite -{1}polyC1 derivB derivC derivX sub0r.
rewrite big_ord_recr derivD IH 1?ltnW //= derivZ derivM derivXn deriv_exp d1X mulN1r.
rewrite mulNrn mulrN mulrnAl mulrnAr -subnS scalerBr -!scaler_nat !scalerA -!natrM.
by rewrite [('C(D, q) * q)%N]mulnC addrA addNr add0r mul_bin_left mulnC.
Qed.

(* gamma(1) = 0, and -gamma' / s is the Beta(q, s - q) density.               *)
Theorem beta_limit_derivative {R : realFieldType} :
  forall s q : nat, (0 < q < s)%N ->
  (limit_gamma s q).[1] = 0 :> R
  /\ (limit_gamma s q)^`() = - (s%:R *: beta_density q (s - q)) :> {poly R}.
Proof.
move=> s q /andP[q_gt0 qs].
have q_le : (q <= s - 1)%N by rewrite subn1 -ltnS (ltn_predK qs).
split.
  rewrite /limit_gamma hornerZ /binomial_below horner_sum big1 ?mulr0 // => l _.
  rewrite !hornerE !horner_exp !hornerE subrr expr0n subn_eq0 leqNgt.
  by rewrite (leq_trans (ltn_ord l) q_le); apply: mulr0.
rewrite /limit_gamma derivZ deriv_binomial_below // scalerN; congr (- (_ *: _)).
rewrite /beta_density subnKC ?(ltnW qs) // subn1 [in RHS]subnAC subn1.
congr (_ *: _); last by rewrite subn1.
have f0 m : m`!%:R != 0 :> R by rewrite pnatr_eq0 -lt0n fact_gt0.
apply: (canRL (mulfK (mulf_neq0 (f0 _) (f0 _)))); rewrite subn1 -!natrM; congr (_%:R).
have qf : q`! = (q * q.-1`!)%N by rewrite -{1}(prednK q_gt0) factS prednK.
rewrite subn1 in q_le; rewrite -(bin_fact q_le) qf.
by rewrite [(q * 'C(_, _))%N]mulnC -!mulnA.
Qed.
