(* Two printed claims that are false: Theorem 1 for stored scores, and        *)
(* "never a subgradient of the mean loss".                                    *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* With stored scores it need not be: n = s = 2, q = 1, losses t and -t, at   *)
(* t = 1 ranked by their values at t0 = -1. The surrogate is |t|, but the      *)
(* expected gradient -1.                                                      *)
Theorem stale_not_surrogate_subgradient {R : realFieldType} :
  ~ (forall (n s q d : nat) (rho : 'rV[R]_d -> {perm 'I_n})
       (L : 'I_n -> 'rV[R]_d -> R) (t0 t : 'rV[R]_d) (g : 'I_n -> 'rV[R]_d),
     (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
     (forall i, convex (L i)) ->
     (forall u, ranks (rho u) (fun i => L i u)) ->
     (forall i, subgradient (L i) t (g i)) ->
     subgradient (surrogate s q rho L) t
       (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by (rho t0) q S) g i))).
Proof.
move=> broken; pose slope (i : 'I_2) : R := if i == 0 then 1 else -1.
pose w : 'rV[R]_1 := const_mx 1; pose g i := slope i *: w.
pose L i (t : 'rV[R]_1) := dot (g i) t + 0; pose swap : {perm 'I_2} := tperm 0 1.
pose rho (t : 'rV[R]_1) : {perm 'I_2} := if 0 <= t 0 0 then 1%g else swap.
have two (i : 'I_2) : i = 0 \/ i = 1.
  by case: i => [[|[|m]] lt] //; [left | right]; apply: val_inj.
have dotg i t : dot (g i) t = slope i * t 0 0.
  by rewrite dotC dotZr dotC /dot big_ord1 mxE mul1r.
have LE i t : L i t = slope i * t 0 0 by rewrite /L addr0 dotg.
have weight1 : gamma 2 2 1 1 = 1 :> R by rewrite inclusion_plateau // divff ?pnatr_eq0.
have weight2 : gamma 2 2 1 2 = 0 :> R by apply/inclusion_support.
have rho_L u : ranks (rho u) (fun i => L i u).
  move=> i k; rewrite !LE /rho /slope /swap.
  case: (two i) => ->; case: (two k) => ->; case: ifPn => u0;
    rewrite ?perm1 ?tpermL ?tpermR ?ltnn //= ?mul1r ?mulN1r => _.
    by rewrite ge0_cp.
  by rewrite le0_cp // ltW // ltNge.
have gL i : subgradient (L i) w (g i) by apply: affine_subgradient.
have cL i : convex (L i) by apply: affine_convex.
have := broken 2%N 2%N 1%N 1%N rho L (- w) w g isT isT isT cL rho_L gL 0.
rewrite /surrogate unbiased_stale // !big_ord_recl !big_ord0 /rho.
rewrite !mxE oppr_ge0 ler01 ler10 lexx.
rewrite (_ : lift ord0 ord0 = 1); last exact: val_inj.
rewrite !perm1 /swap tpermL tpermR /= weight1 weight2 !LE !mxE.
rewrite scale0r invr1 !scale1r !(add0r, addr0) dotg !mxE /=.
rewrite !(mulr0, mul0r, mul1r, mulr1, addr0) /slope /= mulrNN mulr1.
by rewrite leNgt ltr_paddr ?ler01 ?ltr01.
Qed.

Lemma weights_3_2_1 {R : realFieldType} :
  [/\ gamma 3 2 1 1 = 2%:R / 3%:R :> R, gamma 3 2 1 2 = 1 / 3%:R :> R
    & gamma 3 2 1 3 = 0 :> R].
Proof.
split; [exact: inclusion_plateau | | exact/inclusion_support].
by rewrite (gammaE (Ordinal (isT : 1 < 3)%N)) // big_ord1.
Qed.

(* With these weights and the losses t + 3, 2 t + 2 and t + 1, which are in   *)
(* descending order at t = 0, the expected gradient 2/3 * 1 + 1/3 * 2 = 4/3   *)
(* is the gradient of the mean loss.                                          *)
Theorem never_unbiased_is_false {R : realFieldType} :
  ~ (forall (n s q d : nat) (L : 'I_n -> 'rV[R]_d -> R) (t : 'rV[R]_d)
       (g : 'I_n -> 'rV[R]_d),
     (0 < q)%N -> (q < s)%N -> (s < n)%N ->
     (forall i, convex (L i)) ->
     (forall i j : 'I_n, (i < j)%N -> L j t < L i t) ->
     (forall i, subgradient (L i) t (g i)) ->
     (forall i, g i != 0) ->
     ~ subgradient (fun u => n%:R^-1 * \sum_(i < n) L i u) t
         (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i))).
Proof.
move=> never; pose slope (i : 'I_3) : R := if i == 1 then 2%:R else 1.
pose g i : 'rV[R]_1 := slope i *: const_mx 1.
pose L i (t : 'rV[R]_1) := dot (g i) t + (3 - i)%:R.
have slope0 i : slope i != 0 by rewrite /slope; case: ifP; rewrite ?pnatr_eq0 ?oner_eq0.
apply: (never 3%N 2%N 1%N 1%N L 0 g) => //.
- by move=> i; apply: affine_convex.
- move=> i j ij; rewrite /L -(scale0r (0 : 'rV_1)) !dotZr !mul0r !add0r.
  by rewrite ltr_nat ltn_sub2l ?ltn_ord.
- by move=> i; apply: affine_subgradient.
- move=> i; rewrite scaler_eq0 negb_or slope0 /=; apply/eqP => /rowP/(_ 0).
  by rewrite !mxE => /eqP; rewrite oner_eq0.
have [weight1 weight2 weight3] := @weights_3_2_1 R.
have /unbiased_for_mean_iff-> // :
  \sum_(j < 3) (gamma 3 2 1 j.+1 / 1%:R - 3%:R^-1) *: g j = 0.
  under eq_bigr do rewrite /g scalerA.
  rewrite -scaler_suml !big_ord_recl big_ord0 /= weight1 weight2 weight3.
  rewrite [X in X *: _](_ : _ = 0) ?scale0r //= !divr1 mul1r subrr mul0r sub0r add0r.
  by rewrite addr0 /slope /= !mulr1 mulr_natl mulr2n addrK subrr.
apply: subgradient_ext (affine_subgradient _ (3%:R^-1 * \sum_(i < 3) (3 - i)%:R) 0).
move=> u /=; rewrite /L big_split /= mulrDr dotC dotZr dotC.
congr (_ * _ + _); rewrite /g dot_suml; apply: eq_bigr => i _.
by rewrite [RHS]dotC dotZr dotC.
Qed.
