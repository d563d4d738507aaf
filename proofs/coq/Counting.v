(* Counting subsets: the combinatorics that OrderDP.v rests on.               *)

From mathcomp Require Import all_ssreflect.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

(* The outcomes of drawing k elements of B uniformly without replacement: all *)
(* subsets of B with exactly k elements.                                      *)
Definition draws {T : finType} (B : {set T}) (k : nat) : {set {set T}} :=
  [set U : {set T} | (U \subset B) && (#|U| == k)].

Lemma card_draws_of (T : finType) (B : {set T}) k : #|draws B k| = 'C(#|B|, k).
Proof. exact: cards_draws. Qed.

Lemma in_drawsT (T : finType) k (S : {set T}) :
  (S \in draws setT k) = (#|S| == k).
Proof. by rewrite inE subsetT. Qed.

(* To count a set, count its elements for each value of a bounded statistic.  *)
Lemma card_by_value (T : finType) (X : {set T}) (p : T -> nat) q :
  (forall x, x \in X -> p x < q) ->
  #|X| = \sum_(m < q) #|[set x in X | p x == m]|.
Proof.
move=> pX; rewrite -sum1_card.
transitivity (\sum_(x in X) \sum_(m < q | p x == m) 1).
  apply: eq_bigr => x xX; rewrite (big_pred1 (Ordinal (pX x xX))) // => m.
  by rewrite /= eq_sym -val_eqE.
rewrite (exchange_big_dep xpredT) //=; apply: eq_bigr => m _.
by rewrite -sum1_card; apply: eq_bigl => x; rewrite inE.
Qed.

(* C, A and B cut the population into three: each x is in exactly one.        *)
Definition cut3 {T : finType} (C A B : {set T}) : Prop :=
  forall x, (x \in C) + (x \in A) + (x \in B) = 1.

(* A set that contains C has #|C| elements plus those in A plus those in B.   *)
Lemma card_by_parts (T : finType) (C A B S : {set T}) : cut3 C A B ->
  C \subset S -> #|S| = #|C| + #|S :&: A| + #|S :&: B|.
Proof.
move=> cut CS; have {1}<- := setIidPr CS.
rewrite -!sum1_card !(big_mkcond (fun x => x \in _)).
rewrite -!big_split /=; apply: eq_bigr => x _; rewrite !inE.
by have := cut x; case: (x \in S); do 3!case: (x \in _).
Qed.

(* A set that contains C is given by its parts in A and in B, which can be    *)
(* chosen freely: so there are as many as pairs of parts.                     *)
Lemma card_free_parts (T : finType) (C A B : {set T}) a b : cut3 C A B ->
  #|[set S : {set T} | [&& C \subset S, #|S :&: A| == a & #|S :&: B| == b]]|
  = 'C(#|A|, a) * 'C(#|B|, b).
Proof.
move=> cut; rewrite -!card_draws_of -cardsX.
pose join (XY : {set T} * {set T}) := C :|: (XY.1 :|: XY.2).
have joinA (X Y : {set T}) : X \subset A -> Y \subset B -> join (X, Y) :&: A = X.
  move=> /subsetP XA /subsetP YB; apply/setP => x; rewrite !inE /=.
  have := cut x; have /implyP := XA x; have /implyP := YB x.
  by do !case: (x \in _).
have joinB (X Y : {set T}) : X \subset A -> Y \subset B -> join (X, Y) :&: B = Y.
  move=> /subsetP XA /subsetP YB; apply/setP => x; rewrite !inE /=.
  have := cut x; have /implyP := XA x; have /implyP := YB x.
  by do !case: (x \in _).
rewrite -(@card_in_imset _ _ join) => [|[X Y] [X' Y']]; last first.
  rewrite !inE /= => /andP[/andP[XA _] /andP[YB _]].
  move=> /andP[/andP[XA' _] /andP[YB' _]] eqj.
  congr (_, _); first by rewrite -[LHS](joinA X Y) // eqj joinA.
  by rewrite -[LHS](joinB X Y) // eqj joinB.
apply: eq_card => S; rewrite inE; apply/idP/imsetP => [/and3P[CS Sa Sb]|].
  exists (S :&: A, S :&: B); rewrite ?inE /= ?subsetIr ?Sa ?Sb //.
  apply/setP => x; have := cut x; have /implyP := subsetP CS x; rewrite !inE.
  by do !case: (x \in _).
case=> -[X Y]; rewrite !inE /= => /andP[/andP[XA Xa] /andP[YB Yb]] ->.
by rewrite subsetUl joinA // joinB // Xa Yb.
Qed.

(* The s-subsets that contain C and meet A in fewer than t elements, counted  *)
(* by the number m of their elements in A.                                    *)
Lemma card_draws_meeting (T : finType) (C A B : {set T}) s t : cut3 C A B ->
  (forall m, m < t -> #|C| + m <= s) ->
  #|[set S in draws setT s | (C \subset S) && (#|S :&: A| < t)]|
  = \sum_(m < t) 'C(#|A|, m) * 'C(#|B|, s - #|C| - m).
Proof.
move=> cut ts; rewrite (@card_by_value _ _ (fun S => #|S :&: A|) t); last first.
  by move=> S; rewrite inE => /and3P[].
apply: eq_bigr => m _; rewrite -(card_free_parts m _ cut).
apply: eq_card => S; rewrite !inE subsetT /=.
case CS: (C \subset S); rewrite ?andbF //= andbC (card_by_parts cut CS).
case: (#|S :&: A| =P m) => //= ->; rewrite ltn_ord andbT.
by rewrite -subnDA -[RHS](eqn_add2l (#|C| + m)) subnKC // ts.
Qed.

(* A k-subset of B that contains x is given by its k - 1 other elements.      *)
Lemma card_draws_with (T : finType) (B : {set T}) k x : x \in B -> 0 < k ->
  #|[set U in draws B k | x \in U]| = 'C(#|B|.-1, k.-1).
Proof.
move=> xB k_gt0.
have cut : cut3 [set x] (B :\ x) (~: B).
  move=> y; rewrite !inE; case: eqP => [->|_]; first by rewrite xB.
  by case: (y \in B).
have -> : #|B|.-1 = #|B :\ x| by rewrite (cardsD1 x B) xB.
rewrite -[RHS]muln1 -(bin0 #|~: B|) -(card_free_parts _ _ cut).
apply: eq_card => U; rewrite !inE sub1set [in RHS]andbC.
case xU: (x \in U); last by rewrite !andbF.
rewrite !andbT cards_eq0 setI_eq0 -subsets_disjoint andbC.
case UB: (U \subset B); rewrite ?andbF ?andbT //.
by rewrite setIDA (setIidPl UB) (cardsD1 x U) xU -(prednK k_gt0) /= eqSS.
Qed.

Lemma card_below n m : (m <= n)%N -> #|[set k : 'I_n | (k < m)%N]| = m.
Proof.
move=> mn; rewrite -sum1_card -[RHS]card_ord -sum1_card.
rewrite (big_ord_widen _ (fun=> 1%N) mn).
by apply: eq_bigl => k; rewrite inE.
Qed.

Lemma card_above n (j : 'I_n) : #|[set k : 'I_n | (j < k)%N]| = (n - j.+1)%N.
Proof.
rewrite cardsCs card_ord -[in RHS](card_below (ltn_ord j)); congr (_ - _)%N.
by apply: eq_card => k; rewrite !inE ltnS -leqNgt.
Qed.

Lemma card_setIS (T : finType) (S : {set T}) (P : pred T) :
  #|[set i in S | P i]| = count P (enum S).
Proof.
rewrite -sum1_count big_enum_cond /= -sum1_card.
by apply: eq_bigl => i; rewrite !inE.
Qed.
