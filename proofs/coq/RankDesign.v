(* Rank designs: keep the candidates at given positions.                      *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion.
From OrderDP Require Import Convex Surrogate.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Of the candidates S keep those at the positions in A, where position 0 is  *)
(* the first in the ranking.                                                  *)
Definition at_positions {n s : nat} (A : {set 'I_s}) (rho : {perm 'I_n}) (S : {set 'I_n}) :
    {set 'I_n} :=
  [set i in S | [exists l in A, #|[set k in S | (rho k < rho i)%N]| == l :> nat]].

(* The probability that rank r is kept, and the surrogate of the design.      *)
Definition rank_weight {R : realFieldType} (n : nat) {s : nat} (A : {set 'I_s}) (r : nat) :
    R :=
  \sum_(l in A) ('C(r - 1, l) * 'C(n - r, s - l.+1))%:R / 'C(n, s)%:R.

Definition rank_surrogate {R : realFieldType} {n s d : nat} (A : {set 'I_s})
    (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R) (t : 'rV[R]_d) : R :=
  #|A|%:R^-1 * \sum_(i < n) rank_weight n A (rho t i).+1 * L i t.

Lemma card_at_position n s (rho : {perm 'I_n}) (i : 'I_n) (l : 'I_s) :
  #|[set S in candidates n s | (i \in S) && (#|[set k in S | (rho k < rho i)%N]| == l)]|
  = ('C(rho i, l) * 'C(n - (rho i).+1, s - l.+1))%N.
Proof.
pose A := [set k : 'I_n | (rho k < rho i)%N]; pose B := [set k : 'I_n | (rho i < rho k)%N].
have cut : cut3 [set i] A B.
  move=> k; rewrite !inE -(inj_eq (@perm_inj _ rho)) -val_eqE /=.
  by case: ltngtP.
have cardA : #|A| = rho i.
  rewrite -[RHS](card_below (ltnW (ltn_ord (rho i)))).
  by rewrite -[RHS](card_preimset _ (@perm_inj _ rho)); apply: eq_card => k; rewrite !inE.
have cardB : #|B| = (n - (rho i).+1)%N.
  rewrite -[RHS]card_above.
  by rewrite -[RHS](card_preimset _ (@perm_inj _ rho)); apply: eq_card => k; rewrite !inE.
rewrite -cardB -[X in 'C(X, l)]cardA -(card_free_parts _ _ cut).
apply: eq_card => S; rewrite !inE subsetT sub1set /=; case iS: (i \in S); rewrite ?andbF //=.
have -> : [set k in S | (rho k < rho i)%N] = S :&: A by apply/setP => k; rewrite !inE.
have := @card_by_parts _ _ _ _ S cut; rewrite sub1set iS cards1 => /(_ isT) ->.
rewrite andbC; case: eqP => //= ->.
by rewrite -[RHS](eqn_add2l l.+1) subnKC ?ltn_ord // add1n.
Qed.

Theorem rank_design_probability {R : realFieldType} :
  forall (n s : nat) (A : {set 'I_s}) (rho : {perm 'I_n}) (i : 'I_n),
  Pr (candidates n s) (fun S => i \in at_positions A rho S)
  = rank_weight n A (rho i).+1 :> R.
Proof.
move=> n s A rho i; rewrite /Pr /rank_weight card_candidates -mulr_suml -natr_sum subn1 /=.
congr (_%:R / _); under [RHS]eq_bigr do rewrite -card_at_position.
pose place (S : {set 'I_n}) := #|[set k in S | (rho k < rho i)%N]|.
rewrite -sum1_card; under [RHS]eq_bigr do rewrite -sum1_card.
rewrite (exchange_big_dep (mem (candidates n s))) /=; last first.
  by move=> l S _; rewrite inE => /andP[].
rewrite big_mkcond [RHS]big_mkcond; apply: eq_bigr => S _; rewrite !inE.
case: ifP => [/andP[Ss /andP[iS /existsP[l /andP[lA /eqP Sl]]]]|none].
  rewrite Ss (big_pred1 l) // => m; rewrite !inE iS /= andbA; apply/idP/eqP => [|->].
    by case/andP=> _ /eqP Sm; apply: val_inj; rewrite /= -Sm Sl.
  by have /andP[_ sS] := Ss; rewrite lA subsetT Sl eqxx sS.
case: ifP => // Ss; rewrite big_pred0 // => l; apply/negP; rewrite !inE => /andP[lA].
case/andP=> _ /andP[iS Sl]; move/negP: none; apply; rewrite Ss iS /=.
by apply/existsP; exists l; rewrite lA.
Qed.

(* Affine losses that show a rise of the weights: ranks r and r + 1 belong to *)
(* 1 + t and 1 - t, between the constants 3 and 0.                            *)
Lemma convex_no_rise {R : realFieldType} n (w : nat -> R) :
  (forall (rho : 'rV[R]_1 -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_1 -> R),
     (forall u, ranks (rho u) (fun i => L i u)) -> (forall i, convex (L i)) ->
     convex (fun t => \sum_i w (rho t i) * L i t)) ->
  forall r, (r.+1 < n)%N -> w r.+1 <= w r.
Proof.
move=> convex_all r rn; have [rank rank_x] := @ranking_choice R n.
pose j0 := Ordinal (ltnW rn); pose j1 := Ordinal rn.
pose slope (i : 'I_n) : R := if i == j0 then 1 else if i == j1 then -1 else 0.
pose base (i : 'I_n) : R := if (i < r)%N then 3%:R else (i <= r.+1)%N%:R.
pose L i (t : 'rV[R]_1) := dot (const_mx (slope i)) t + base i.
have LE i (a : R) : L i (const_mx a) = slope i * a + base i.
  by rewrite /L /dot big_ord1 !mxE.
pose rho t := rank (L ^~ t).
pose value a := \sum_i w (rho (const_mx a) i) * L i (const_mx a).
have valueE a (pi : {perm 'I_n}) : ranks pi (fun i => slope i * a + base i) ->
    value a = \sum_i w (pi i) * (slope i * a + base i).
  move=> pi_x; rewrite /value; under eq_bigr do rewrite LE.
  apply: ranked_sum_unique pi_x; have := rank_x (L ^~ (const_mx a)).
  by move=> rk i k ik; rewrite -!LE; apply: rk.
pose swap : {perm 'I_n} := tperm j0 j1.
have j01 : (j1 == j0) = false by rewrite -val_eqE /= gtn_eqF.
have slope_swap i : slope (swap i) = - slope i.
  rewrite /slope /swap; case: tpermP => [->|->|/eqP/negPf-> /eqP/negPf->].
  - by rewrite j01 !eqxx.
  - by rewrite !eqxx j01 opprK.
  - by rewrite oppr0.
have r1r : (r.+1 < r)%N = false by rewrite ltnNge leqnSn.
have base_swap i : base (swap i) = base i.
  rewrite /base /swap; case: tpermP => [->|->|//].
    by rewrite /= r1r ltnn leqnSn leqnn.
  by rewrite /= r1r ltnn leqnSn leqnn.
have base_anti (i k : 'I_n) : (i <= k)%N -> base k <= base i.
  move=> ik; rewrite /base; case: (ltnP k r) => [kr|rk]; first by rewrite (leq_ltn_trans ik kr).
  case: (ltnP i r) => ir; first by case: (k <= r.+1)%N; rewrite ?ler_nat.
  by rewrite ler_nat; case: (leqP k r.+1) => // kr; rewrite (leq_trans ik kr).
have rank0 : ranks (1%g : {perm 'I_n}) (fun i => slope i * 0 + base i).
  by move=> i k; rewrite !perm1 !mulr0 !add0r => /ltnW; apply: base_anti.
have rank1 : ranks (1%g : {perm 'I_n}) (fun i => slope i * 1 + base i).
  have vE (i : 'I_n) : slope i * 1 + base i
      = (if (i < r)%N then 3 else if (i <= r)%N then 2 else 0)%N%:R.
    rewrite mulr1 /slope /base -!val_eqE /= ; case: (ltngtP i r) => [ir|ri|->].
    - by rewrite ltn_eqF ?add0r // (ltn_trans ir).
    - by case: (ltngtP i r.+1) => [||_]; rewrite ?addNr ?add0r // ltnS leqNgt ri.
    - by rewrite leqnSn -[1]/(1%:R) -natrD.
  move=> i k; rewrite !perm1 !vE ler_nat => /ltnW ik.
  case: (ltnP k r) => [kr|rk]; first by rewrite (leq_ltn_trans ik kr).
  case: (leqP k r) => [kr|//]; case: (ltnP i r) => // _.
  by rewrite (leq_trans ik kr).
have rank2 : ranks swap (fun i => slope i * -1 + base i).
  move=> i k ik; have := rank1 (swap i) (swap k); rewrite !perm1 !slope_swap !base_swap.
  by rewrite !mulr1 !mulrN1; apply.
have val2 : value (-1) = value 1.
  rewrite (valueE _ _ rank2) (valueE _ _ rank1) [RHS](reindex_inj (@perm_inj _ swap)) /=.
  by apply: eq_bigr => i _; rewrite perm1 slope_swap base_swap mulrN1 mulr1.
have := convex_all rho L (fun u => rank_x _) (fun i => affine_convex _ _)
  (const_mx 1) (const_mx (-1)) 2%:R^-1.
rewrite (_ : _ *: _ + _ = const_mx 0); last first.
  apply/matrixP => a b; rewrite !mxE mulr1 mulrN1 opprB addrA.
  by rewrite -mulr2n -[_ *+ 2]mulr_natl mulfV ?pnatr_eq0 // subrr.
rewrite -/(value 0) -/(value 1) -/(value (-1)) val2 -mulrDl addrC subrK mul1r.
have half01 : 0 <= (2%:R^-1 : R) <= 1 by rewrite invr_ge0 ler0n invf_le1 ?ltr0n // ler1n.
move=> /(_ half01); rewrite (valueE _ _ rank0) (valueE _ _ rank1) -subr_ge0 -sumrB.
rewrite (eq_bigr (fun i : 'I_n => w i * slope i)) => [|i _]; last first.
  by rewrite !perm1 -mulrBr mulr0 mulr1 add0r addrK.
rewrite (bigD1 j0) // (bigD1 j1) ?j01 //= big1 => [|i /andP[i0 i1]]; last first.
  by rewrite /slope (negPf i0) (negPf i1) mulr0.
by rewrite addr0 /slope eqxx j01 eqxx mulr1 mulrN1 subr_ge0.
Qed.

Theorem rank_design_convex_iff {R : realFieldType} :
  forall (n s : nat) (A : {set 'I_s}), (s <= n)%N ->
  (forall (d : nat) (rho : 'rV[R]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[R]_d -> R),
     (forall u, ranks (rho u) (fun i => L i u)) -> (forall i, convex (L i)) ->
     convex (rank_surrogate A rho L))
  <-> (forall r, (1 <= r < n)%N -> rank_weight n A r.+1 <= rank_weight n A r :> R).
Proof.
move=> n s A sn; split=> [convex_all [//|r] /= rn|w_anti d rho L rho_L cL]; last first.
  apply: convex_scale; first by rewrite invr_ge0 ler0n.
  apply: (ranked_convex (w := fun r => rank_weight n A r.+1)) => // r *.
    exact: w_anti.
  by apply: sumr_ge0 => l _; rewrite divr_ge0 ?ler0n.
have [A0|A_gt0] := posnP #|A|.
  by rewrite /rank_weight (cards0_eq A0) !big_set0.
apply: (convex_no_rise (w := fun r => rank_weight n A r.+1)) rn => rho L rho_L cL.
apply: convex_ext (convex_scale (ler0n _ #|A|) (convex_all 1%N rho L rho_L cL)) => t.
by rewrite /rank_surrogate mulVKf // pnatr_eq0 -lt0n.
Qed.
