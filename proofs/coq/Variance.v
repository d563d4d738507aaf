(* Exact covariances of sums over the kept samples.                           *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion HorvitzThompson.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The d x d matrix of the products v k u l.                                  *)
Definition outer {R : realFieldType} {d : nat} (v u : 'rV[R]_d) : 'M[R]_d := v^T *m u.

(* The probability that the samples of ranks r and r' are both kept.          *)
Definition gamma2 {R : realFieldType} (n s q r r' : nat) : R :=
  if r == r' then gamma n s q r
  else 'C(n - 2, s - 2)%:R / 'C(n, s)%:R
       * \sum_(m < q - 1) hypergeometric (n - 2) (maxn r r' - 2) (s - 2) m.

Lemma Pr_both {R : realFieldType} n s q (rho : {perm 'I_n}) (i k : 'I_n) :
  (q <= s)%N -> (s <= n)%N ->
  Pr (candidates n s) (fun S => (i \in top_by rho q S) && (k \in top_by rho q S))
  = gamma2 n s q (rho i).+1 (rho k).+1 :> R.
Proof.
move=> qs sn; rewrite /gamma2 eqSS.
have -> : Pr (candidates n s) (fun S => (i \in top_by rho q S) && (k \in top_by rho q S))
    = Pr (candidates n s) (fun S => (rho i \in top q S) && (rho k \in top q S)) :> R.
  rewrite /Pr; congr (_%:R / _).
  rewrite -[RHS](card_preimset _ (imset_inj (@perm_inj _ rho))).
  apply: eq_card => S; rewrite inE !mem_top_by !inE !subsetT.
  by rewrite (card_imset _ (@perm_inj _ rho)).
case: (ltngtP (rho i) (rho k)) => [ik|ki|/val_inj->].
- by rewrite (joint_inclusion qs sn ik) (maxn_idPr (ltnW _)).
- rewrite (maxn_idPl (ltnW _)) // -(joint_inclusion qs sn ki).
  by apply: eq_Pr => S _; rewrite andbC.
- by rewrite -inclusion_probability //; apply: eq_Pr => S _; rewrite andbb.
Qed.

(* The deviation of a random sum is a sum of deviations of indicators.        *)
Lemma outer_deviation {R : realFieldType} n d (Q : {set 'I_n}) (p : 'I_n -> R)
    (h : 'I_n -> 'rV[R]_d) :
  outer (\sum_(i in Q) h i - \sum_i p i *: h i) (\sum_(i in Q) h i - \sum_i p i *: h i)
  = \sum_i \sum_k (((i \in Q)%:R - p i) * ((k \in Q)%:R - p k)) *: outer (h i) (h k).
Proof.
have -> : \sum_(i in Q) h i - \sum_i p i *: h i = \sum_i ((i \in Q)%:R - p i) *: h i.
  rewrite big_mkcond -sumrB; apply: eq_bigr => i _; rewrite scalerBl.
  by case: (i \in Q); rewrite ?scale1r ?scale0r.
rewrite /outer [_^T]linear_sum mulmx_suml; apply: eq_bigr => i _.
rewrite mulmx_sumr; apply: eq_bigr => k _.
by rewrite /= [(_ *: _)^T]linearZ /= -scalemxAl -scalemxAr scalerA.
Qed.

Lemma outerZ {R : realFieldType} d (c : R) (v : 'rV[R]_d) :
  outer (c *: v) (c *: v) = c ^+ 2 *: outer v v.
Proof. by rewrite /outer [(_ *: _)^T]linearZ /= -scalemxAl -scalemxAr scalerA. Qed.

(* The covariance matrix of the estimator, for any ranking.                   *)
Theorem estimator_variance {R : realFieldType} :
  forall (n s q d : nat) (rho : {perm 'I_n}) (g : 'I_n -> 'rV[R]_d),
  (q <= s)%N -> (s <= n)%N ->
  let estimate S := q%:R^-1 *: \sum_(i in top_by rho q S) g i in
  let expected := q%:R^-1 *: \sum_(i < n) gamma n s q (rho i).+1 *: g i in
  mean (candidates n s) (fun S => outer (estimate S - expected) (estimate S - expected))
  = q%:R^-1 ^+ 2 *: \sum_(i < n) \sum_(k < n)
      (gamma2 n s q (rho i).+1 (rho k).+1
       - gamma n s q (rho i).+1 * gamma n s q (rho k).+1) *: outer (g i) (g k).
Proof.
move=> n s q d rho g qs sn /=; pose p i : R := gamma n s q (rho i).+1.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
under eq_mean => S _ do rewrite -scalerBr outerZ (outer_deviation _ p).
rewrite mean_scale mean_sum; congr (_ *: _); apply: eq_bigr => i _.
rewrite mean_sum; apply: eq_bigr => k _; rewrite mean_scaler.
by rewrite mean_deviations // Pr_both // !Pr_top_by // !mulNr [p k * _]mulrC addNr addr0.
Qed.

(* The chance that a uniform draw of k from B takes both x and y.             *)
Lemma Pr_draws_both {R : realFieldType} (T : finType) (B : {set T}) k (x y : T) :
  x \in B -> y \in B -> x != y -> (k <= #|B|)%N ->
  Pr (draws B k) (fun U => (x \in U) && (y \in U))
  = (k%:R * (k%:R - 1)) / (#|B|%:R * (#|B|%:R - 1)) :> R.
Proof.
move=> xB yB xy kB; pose C := [set x; y].
have CB : C \subset B by rewrite subUset !sub1set xB yB.
have cardC : #|C| = 2%N by rewrite cards2 xy.
have cardBC : #|B| = #|B :\: C|.+2.
  by rewrite -[LHS](cardsID C) (setIidPr CB) cardC.
case: k kB => [|[|k]] kB.
- by rewrite mul0r mul0r /Pr eq_card0 ?mul0r // => U; rewrite !inE;
    case: eqP => [/cards0_eq->|]; rewrite ?inE ?andbF.
- rewrite subrr mulr0 mul0r /Pr eq_card0 ?mul0r // => U; rewrite !inE; apply/negP.
  case/andP=> /andP[_ /cards1P[z ->]]; rewrite !inE => /andP[/eqP xz /eqP yz].
  by move: xy; rewrite xz yz eqxx.
have cut : cut3 C (B :\: C) (~: B).
  move=> z; rewrite in_setC in_setD; have := subsetP CB z.
  by case: (z \in C) => [->//|_]; case: (z \in B).
have -> : Pr (draws B k.+2) (fun U => (x \in U) && (y \in U))
    = ('C(#|B :\: C|, k))%:R / ('C(#|B|, k.+2))%:R :> R.
  rewrite /Pr card_draws_of; congr (_%:R / _).
  rewrite -[RHS]muln1 -(bin0 #|~: B|) -(card_free_parts _ _ cut).
  apply: eq_card => U; rewrite !inE.
  rewrite [C \subset U]subUset !sub1set; case: (boolP ((x \in U) && (y \in U))) => [xyU|];
    rewrite ?andbF //= andbT cards_eq0 setI_eq0 -subsets_disjoint andbC.
  case UB: (U \subset B); rewrite ?andbF ?andbT //.
  rewrite setIDA (setIidPl UB) -[in LHS](cardsID C) (setIidPr _) ?cardC ?eqSS //.
  by rewrite subUset !sub1set.
rewrite cardBC; set b := #|_|; have bk : (k <= b)%N by rewrite -2!ltnS -cardBC.
have pred m : m.+1%:R - 1 = m%:R :> R by rewrite -addn1 natrD addrK.
apply/eqP; rewrite !pred.
rewrite eqr_div ?mulf_neq0 ?pnatr_eq0 -?lt0n ?bin_gt0 ?ltnS //.
rewrite -!natrM eqr_nat; have d1 := mul_bin_diag b.+1 k; have d2 := mul_bin_diag b.+2 k.+1.
apply/eqP; move: d1 d2 => /= d1 d2.
by rewrite mulnC -mulnA d1 mulnCA d2 mulnA [(k.+1 * _)%N]mulnC.
Qed.

(* The two-stage rule: the probability that i and k are both kept, where both *)
(* or one may be kept by the first stage.                                     *)
Definition keep_probability2 {R : realFieldType} {n : nat} (s q1 q2 : nat)
    (rho : {perm 'I_n}) (i k : 'I_n) : R :=
  let one := q2%:R / (n - q1)%:R in
  let two := q2%:R * (q2%:R - 1) / ((n - q1)%:R * ((n - q1)%:R - 1)) in
  if i == k then keep_probability s q1 q2 rho i
  else (1 - one *+ 2 + two) * gamma2 n s q1 (rho i).+1 (rho k).+1
       + (one - two) * (gamma n s q1 (rho i).+1 + gamma n s q1 (rho k).+1) + two.

(* Given the first stage.                                                     *)
Lemma Pr_second_stage2 {R : realFieldType} n (Q : {set 'I_n}) q2 (i k : 'I_n) :
  i != k -> (q2 <= n - #|Q|)%N ->
  let one := q2%:R / (n - #|Q|)%:R in
  let two := q2%:R * (q2%:R - 1) / ((n - #|Q|)%:R * ((n - #|Q|)%:R - 1)) in
  Pr (draws (~: Q) q2) (fun U => (i \in Q :|: U) && (k \in Q :|: U))
  = (1 - one *+ 2 + two) * ((i \in Q) && (k \in Q))%:R
    + (one - two) * ((i \in Q)%:R + (k \in Q)%:R) + two :> R.
Proof.
have cardQ : #|~: Q| = (n - #|Q|)%N by rewrite cardsCs setCK card_ord.
move=> ik q2Q one two; case iQ: (i \in Q); case kQ: (k \in Q) => /=.
- rewrite (@eq_Pr _ _ _ _ xpredT) => [|U _]; last by rewrite !inE iQ kQ.
  rewrite Pr_mean mean_const ?card_draws_of ?bin_gt0 ?cardQ // mulr1 -mulr2n mulr_natr.
  rewrite mulrnBl [two *+ 2]mulr2n opprD addrACA subrK.
  by rewrite [two + _]addrA subrr add0r subrK.
- rewrite mulr0 add0r addr0 mulr1 subrK /one -cardQ -(@Pr_draws _ _ (~: Q) _ k) ?inE ?kQ ?cardQ //.
  by apply: eq_Pr => U _; rewrite !inE iQ kQ.
- rewrite mulr0 !add0r mulr1 subrK /one -cardQ -(@Pr_draws _ _ (~: Q) _ i) ?inE ?iQ ?cardQ //.
  by apply: eq_Pr => U _; rewrite !inE iQ kQ andbT.
- rewrite !mulr0 addr0 mulr0 !add0r /two -cardQ.
  rewrite -[RHS](@Pr_draws_both _ _ (~: Q) _ i k) ?inE ?iQ ?kQ ?cardQ //.
  by apply: eq_Pr => U _; rewrite !inE iQ kQ.
Qed.

Theorem keep_probability2_correct {R : realFieldType} :
  forall (n s q1 q2 : nat) (rho : {perm 'I_n}) (i k : 'I_n),
  (q1 <= s)%N -> (s <= n)%N -> (q2 <= n - q1)%N ->
  mean (candidates n s) (fun S => Pr (draws (~: top_by rho q1 S) q2) (fun U =>
    (i \in top_by rho q1 S :|: U) && (k \in top_by rho q1 S :|: U)) : R^o)
  = keep_probability2 s q1 q2 rho i k.
Proof.
move=> n s q1 q2 rho i k q1s sn q2n; rewrite /keep_probability2.
case: eqP => [->|/eqP ik].
  rewrite -keep_probability_correct //; apply: eq_mean => S _; apply: eq_Pr => U _.
  by rewrite andbb.
set one := _ / _; set two := _ / _; set c1 := 1 - one *+ 2 + two; set c2 := one - two.
pose f S : R^o := c1 *: (((i \in top_by rho q1 S) && (k \in top_by rho q1 S))%:R : R^o).
pose fi S : R^o := c2 *: ((i \in top_by rho q1 S)%:R : R^o).
pose fk S : R^o := c2 *: ((k \in top_by rho q1 S)%:R : R^o).
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun S => f S + (fi S + fk S) + two)).
  rewrite 3!mean_add mean_const ?card_candidates ?bin_gt0 // !mean_scale -!Pr_mean.
  by rewrite Pr_both // !Pr_top_by // /GRing.scale /= mulrDr.
move=> S; rewrite in_drawsT => /eqP Ss.
have cardQ : #|top_by rho q1 S| = q1 by rewrite card_top_by ?Ss.
rewrite Pr_second_stage2 ?cardQ // -/one -/two -/c1 -/c2 /f /fi /fk /GRing.scale /=.
by rewrite [c2 * _]mulrDr.
Qed.

(* The covariance matrix of the unbiased rule.                                *)
Theorem horvitz_thompson_variance {R : realFieldType} :
  forall (n s q1 q2 d : nat) (rho : {perm 'I_n}) (g : 'I_n -> 'rV[R]_d),
  (q1 <= s)%N -> (s <= n)%N -> (0 < q2 <= n - q1)%N ->
  let p := keep_probability s q1 q2 rho in
  let estimate Q := \sum_(i in Q) (n%:R * p i)^-1 *: g i in
  let expected := n%:R^-1 *: \sum_(i < n) g i in
  mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    let Q := top_by rho q1 S :|: U in
    outer (estimate Q - expected) (estimate Q - expected)))
  = n%:R^-1 ^+ 2 *: \sum_(i < n) \sum_(k < n)
      (keep_probability2 s q1 q2 rho i k / (p i * p k) - 1) *: outer (g i) (g k).
Proof.
move=> n s q1 q2 d rho g q1s sn /andP[q2_gt0 q2n] p estimate expected.
have p0 i : p i != 0 by rewrite gt_eqF // keep_probability_gt0 ?q2_gt0.
pose h i := (p i)^-1 *: g i.
have estimateE Q : estimate Q - expected
    = n%:R^-1 *: (\sum_(i in Q) h i - \sum_i p i *: h i).
  rewrite scalerBr !scaler_sumr /estimate /expected scaler_sumr; congr (_ - _).
    by apply: eq_bigr => i _; rewrite scalerA invfM.
  by apply: eq_bigr => i _; rewrite /h !scalerA mulfK.
pose dev (Q : {set 'I_n}) i k : R^o := ((i \in Q)%:R - p i) * ((k \in Q)%:R - p k).
transitivity (mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    n%:R^-1 ^+ 2 *: \sum_i \sum_k dev (top_by rho q1 S :|: U) i k *: outer (h i) (h k)))).
  apply: eq_mean => S _; apply: eq_mean => U _.
  by rewrite /= estimateE outerZ outer_deviation.
under eq_mean => S _ do rewrite mean_scale mean_sum.
rewrite mean_scale mean_sum; congr (_ *: _); apply: eq_bigr => i _.
under eq_mean => S _ do rewrite mean_sum.
rewrite mean_sum; apply: eq_bigr => k _.
under eq_mean => S _ do rewrite mean_scaler.
rewrite mean_scaler /h /outer [(_ *: _)^T]linearZ /= -scalemxAl -scalemxAr !scalerA.
congr (_ *: _).
pose joint S : R^o := Pr (draws (~: top_by rho q1 S) q2) (fun U =>
  (i \in top_by rho q1 S :|: U) && (k \in top_by rho q1 S :|: U)).
pose one j S : R^o := Pr (draws (~: top_by rho q1 S) q2) (fun U =>
  j \in top_by rho q1 S :|: U).
have inner S : S \in candidates n s -> mean (draws (~: top_by rho q1 S) q2)
    (fun U => dev (top_by rho q1 S :|: U) i k)
  = joint S + (- p k) *: one i S + ((- p i) *: one k S + p i * p k).
  move=> Sc; have X_gt0 : (0 < #|draws (~: top_by rho q1 S) q2|)%N.
    move: Sc; rewrite in_drawsT => /eqP Ss.
    by rewrite card_draws_of bin_gt0 cardsCs setCK card_ord card_top_by ?Ss.
  exact: mean_deviations.
rewrite (eq_mean inner) 3!mean_add mean_const ?card_candidates ?bin_gt0 // !mean_scale.
rewrite /joint /one keep_probability2_correct // !keep_probability_correct // -/p.
rewrite /GRing.scale /= !mulNr [p k * p i]mulrC addNr addr0.
by rewrite -mulrA -invfM mulrBl divff // mulf_neq0.
Qed.
