(* Two runs with the same candidate sets, on data that differ in one sample.  *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate Vectors Convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* In how many of the candidate sets the sample i is.                         *)
Definition hits {n : nat} (i : 'I_n) (c : seq {set 'I_n}) : nat :=
  count (fun S : {set 'I_n} => i \in S) c.

(* Exchange k in A for i.                                                     *)
Lemma exchange {R : realFieldType} (I : finType) (A : {set I}) i k (x : I -> R) :
  k \in A -> i \notin A ->
  #|i |: A :\ k| = #|A| /\ \sum_(j in i |: A :\ k) x j = \sum_(j in A) x j - x k + x i.
Proof.
move=> kA iA; have iA' : i \notin A :\ k by rewrite !inE negb_and iA orbT.
by split; [rewrite cardsU1 iA' (cardsD1 k A) kA | rewrite big_setU1 // (big_setD1 k kA) /=
           addrC [x k + _]addrC addrK].
Qed.

Lemma has_other (I : finType) (A B : {set I}) i :
  #|A| = #|B| -> i \in B -> i \notin A -> exists2 k, k \in A & k \notin B.
Proof.
move=> AB iB iA; have : ~~ (A \subset B).
  apply/negP => sub; have /setP/(_ i) : A = B.
    by apply/eqP; rewrite eqEcard sub AB leqnn.
  by rewrite iB (negPf iA).
by case/subsetPn => k kA kB; exists k.
Qed.

(* Only the value of i differs.                                               *)
Lemma sum_change {R : realFieldType} (I : finType) (B : {set I}) i (x x' : I -> R) :
  (forall j, j != i -> x' j = x j) ->
  \sum_(j in B) x' j = \sum_(j in B) x j + (if i \in B then x' i - x i else 0).
Proof.
move=> xE; case: ifP => iB; last first.
  by rewrite addr0; apply: eq_bigr => j jB; apply: xE; apply: contraFneq iB => <-.
rewrite (big_setD1 i iB) [in RHS](big_setD1 i iB) /= [x i + _]addrC -addrA.
rewrite [x i + _]addrC subrK addrC; congr (_ + _); apply: eq_bigr => j.
by rewrite !inE => /andP[ji _]; apply: xE.
Qed.

Lemma combine {R : realFieldType} (x y X Y u v w e : R) :
  x + u <= X -> y + v <= Y -> w <= u + v + e -> y + (x + w) <= X + Y + e.
Proof.
move=> h1 h2 h3; apply: le_trans (ler_add (ler_add h1 h2) (lexx e)).
by rewrite addrACA [x + y]addrC -addrA -[X in _ <= X]addrA !ler_add2l.
Qed.

Lemma quad {R : realFieldType} (x y z k m e : R) :
  x <= z + e -> m <= k + e -> x - y <= (k - y) + (z - m) + 2%:R * e.
Proof.
move=> h1 h2; rewrite mulr_natl mulr2n addrACA -opprD addrAC [k + z + _]addrACA.
rewrite ler_subr_addr [x - y + _]addrA subrK [x + m]addrC; exact: ler_add.
Qed.

(* A has the largest sum of a, and A' that of b', among the q-subsets of S.   *)
(* The values a, b belong to one data set, a', b' to the other, which differs *)
(* in i only; from a to b and from a' to b' no value changes by more than e.  *)
Lemma top_sums {R : realFieldType} (I : finType) (S A A' : {set I}) i
    (a b a' b' : I -> R) e :
  0 <= e -> A \subset S -> A' \subset S -> #|A| = #|A'| ->
  (forall B : {set I}, B \subset S -> #|B| = #|A| -> \sum_(j in B) a j <= \sum_(j in A) a j) ->
  (forall B : {set I}, B \subset S -> #|B| = #|A'| ->
     \sum_(j in B) b' j <= \sum_(j in A') b' j) ->
  (forall j, j != i -> a' j = a j) -> (forall j, j != i -> b' j = b j) ->
  (forall j, a j <= b j + e) -> (forall j, b j <= a j + e) -> (forall j, a' j <= b' j + e) ->
  \sum_(j in A) b j + \sum_(j in A') a' j
  <= \sum_(j in A) a j + \sum_(j in A') b' j + (i \in S)%:R * (2%:R * e).
Proof.
move=> e0 AS A'S AA' maxA maxA' a'E b'E ab ba a'b'.
have swapS (B : {set I}) k j : B \subset S -> j \in S -> j |: B :\ k \subset S.
  move=> BS jS; rewrite subUset sub1set jS /=; apply: subset_trans BS.
  exact: subsetDl.
rewrite (sum_change A' a'E).
case iA: (i \in A); case iA': (i \in A').
- have iS : i \in S by apply: (subsetP AS).
  rewrite iS mul1r; apply: combine (quad (a i) (a'b' i) (ba i)).
    by rewrite subrr addr0; apply: maxA.
  by have := maxA' A AS AA'; rewrite (sum_change A b'E) iA.
- have iS : i \in S by apply: (subsetP AS).
  have [k kA' kA] := has_other (esym AA') iA (negbT iA').
  have [cC sC] := exchange a kA' (negbT iA'); have [cD sD] := exchange b' iA kA.
  have hC := maxA _ (swapS _ k _ A'S iS); rewrite cC sC in hC.
  have hD := maxA' _ (swapS _ i _ AS (subsetP A'S k kA')); rewrite cD sD in hD.
  have bk : b' k = b k by apply: b'E; apply: contraNneq kA => ->.
  rewrite (sum_change A b'E) iA bk addrA [_ - b' i]addrAC addrK in hD.
  have {}hC := hC (esym AA'); have {}hD := hD AA'.
  have := quad (a k) (ab k) (ba i); rewrite subrr iS mul1r; apply: combine.
    by rewrite addrA addrAC hC.
  by rewrite addrA addrAC hD.
- have iS : i \in S by apply: (subsetP A'S).
  have [k kA kA'] := has_other AA' iA' (negbT iA).
  have [cC sC] := exchange a iA' kA'; have [cD sD] := exchange b' kA (negbT iA).
  have hC := maxA _ (swapS _ i _ A'S (subsetP AS k kA)); rewrite cC sC in hC.
  have hD := maxA' _ (swapS _ k _ AS iS); rewrite cD sD in hD.
  have bk : b' k = b k by apply: b'E; apply: contraNneq kA' => ->.
  rewrite (sum_change A b'E) iA addr0 bk in hD.
  have {}hC := hC (esym AA'); have {}hD := hD AA'.
  rewrite iS mul1r; apply: combine (quad (a i) (a'b' i) (ba k)).
    by rewrite addrA addrAC hC.
  by rewrite addrA addrAC hD.
have hA := maxA A' A'S (esym AA'); have hA' := maxA' A AS AA'.
rewrite (sum_change A b'E) iA addr0 in hA'.
rewrite addr0 addrC; apply: le_trans (ler_add hA hA') _.
by rewrite ler_addl !mulr_ge0 ?ler0n.
Qed.

Lemma estimator_monotone {R : realFieldType} (I : finType) d q (A : {set I})
    (L : I -> 'rV[R]_d -> R) (g : I -> 'rV[R]_d) (x x' : 'rV[R]_d) :
  (forall j, subgradient (L j) x (g j)) ->
  q%:R^-1 * (\sum_(j in A) L j x - \sum_(j in A) L j x')
  <= dot (q%:R^-1 *: \sum_(j in A) g j) (x - x').
Proof.
move=> gL; rewrite dotZl dot_sum -sumrB ler_wpmul2l ?invr_ge0 ?ler0n //.
apply: ler_sum => j _; rewrite ler_subl_addr -ler_subl_addl -[x - x']opprB dotNr opprK.
exact: gL.
Qed.

(* One step of both runs, on the same candidates S.                           *)
Lemma stability_step {R : realFieldType} n d q (eta G U : R) (L L' : 'I_n -> 'rV[R]_d -> R)
    (i : 'I_n) (rho rho' : {perm 'I_n}) (g g' : 'I_n -> 'rV[R]_d)
    (x x' : 'rV[R]_d) (S : {set 'I_n}) :
  (q <= #|S|)%N -> 0 <= eta -> 0 <= G -> 0 <= U ->
  (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  ranks rho (fun j => L j x) -> ranks rho' (fun j => L' j x') ->
  (forall j, subgradient (L j) x (g j)) -> (forall j, subgradient (L' j) x' (g' j)) ->
  sqnorm (x - x') <= U ^+ 2 ->
  sqnorm (x - eta *: (q%:R^-1 *: \sum_(j in top_by rho q S) g j)
          - (x' - eta *: (q%:R^-1 *: \sum_(j in top_by rho' q S) g' j)))
  <= sqnorm (x - x') + (i \in S)%:R * (2%:R * (2%:R * eta * G / q%:R) * U)
     + (2%:R * eta * G) ^+ 2.
Proof.
move=> qS eta0 G0 U0 L'E LG L'G rho_L rho_L' gL gL' near.
set A := top_by rho q S; set A' := top_by rho' q S.
set v := q%:R^-1 *: _; set v' := q%:R^-1 *: _.
have cA : #|A| = q by apply: card_top_by.
have cA' : #|A'| = q by apply: card_top_by.
have sub (r : {perm 'I_n}) : top_by r q S \subset S.
  by apply/subsetP => j; rewrite inE => /andP[].
have near' : sqnorm (x' - x) <= U ^+ 2 by rewrite -sqnormN opprB.
have le (f : 'rV[R]_d -> R) : lipschitz G f -> f x <= f x' + G * U /\ f x' <= f x + G * U.
  by move=> fG; split; rewrite -ler_subl_addl; apply: lipschitz_le fG _.
have sums := @top_sums R _ S A A' i (L^~ x) (L^~ x') (L'^~ x) (L'^~ x') (G * U)
  (mulr_ge0 G0 U0) (sub rho) (sub rho') (etrans cA (esym cA'))
  (fun B BS cB => top_by_max rho_L BS cB) (fun B BS cB => top_by_max rho_L' BS cB)
  (fun j ji => congr1 (fun f => f x) (L'E j ji)) (fun j ji => congr1 (fun f => f x') (L'E j ji))
  (fun j => proj1 (le _ (LG j))) (fun j => proj2 (le _ (LG j))) (fun j => proj1 (le _ (L'G j))).
have vG : sqnorm (v - v') <= (G + G) ^+ 2.
  apply: sqnormD_le; rewrite // ?sqnormN; apply: sqnorm_mean; rewrite ?cA ?cA' // => j.
    exact: subgradient_sqnorm (LG j) (gL j).
  exact: subgradient_sqnorm (L'G j) (gL' j).
have mono : - ((i \in S)%:R * (2%:R * (G * U)) / q%:R) <= dot (v - v') (x - x').
  have -> : dot (v - v') (x - x') = dot v (x - x') + dot v' (x' - x).
    by rewrite dotBl -[x' - x]opprB dotNr.
  apply: le_trans _ (ler_add (estimator_monotone q A x' gL) (estimator_monotone q A' x gL')).
  rewrite -mulrDr [_ / q%:R]mulrC -mulrN; apply: ler_wpmul2l; first by rewrite invr_ge0 ler0n.
  by rewrite addrACA -opprD ler_subr_addr addrC ler_subl_addr.
have -> : x - eta *: v - (x' - eta *: v') = (x - x') - eta *: (v - v').
  rewrite scalerBr !opprB [LHS]addrACA [RHS]addrACA; congr (_ + _); exact: addrC.
rewrite [X in X <= _]sqnormB dotZr sqnormZ dotC; apply: ler_add.
  have eta2 : 0 <= 2%:R * eta by rewrite mulr_ge0 ?ler0n.
  rewrite ler_add2l ler_oppl [X in _ <= X]mulrA; apply: le_trans _ (ler_wpmul2l eta2 mono).
  rewrite mulrN ler_opp2; set h := (i \in S)%:R.
  rewrite -!mulrA [U / _]mulrC [eta * (h * _)]mulrCA [2%:R * (h * _)]mulrCA.
  by rewrite [eta * (2%:R * _)]mulrCA.
have -> : (2%:R * eta * G) ^+ 2 = eta ^+ 2 * (G + G) ^+ 2.
  by rewrite -exprMn -mulrA mulrCA mulr_natl mulr2n.
by apply: (ler_wpmul2l (sqr_ge0 eta)).
Qed.

(* The bound on the squared distance grows with each step and each hit.       *)
Lemma bound_step {R : realFieldType} (K a b w m : R) (h : bool) :
  K ^+ 2 * m + (a * b) *+ 2 + b ^+ 2 + h%:R * (2%:R * w * (a + b)) + K ^+ 2
  <= K ^+ 2 * (m + 1) + (a * (b + w * h%:R)) *+ 2 + (b + w * h%:R) ^+ 2.
Proof.
have -> : K ^+ 2 * (m + 1) = K ^+ 2 * m + K ^+ 2 by rewrite mulrDr mulr1.
set P := K ^+ 2 * m; set k := K ^+ 2; case: h.
  rewrite mul1r mulr1; have -> : (a * (b + w)) *+ 2 = (a * b) *+ 2 + (a * w) *+ 2.
    by rewrite mulrDr mulrnDl.
  have -> : (b + w) ^+ 2 = b ^+ 2 + ((b * w) *+ 2 + w ^+ 2) by rewrite sqrrD addrA.
  have -> : 2%:R * w * (a + b) = (a * w) *+ 2 + (b * w) *+ 2.
    by rewrite -mulrA mulr_natl mulrDr mulrnDl [w * a]mulrC [w * b]mulrC.
  set Q := (a * b) *+ 2; set A := (a * w) *+ 2; set B := (b * w) *+ 2.
  have -> : P + k + (Q + A) + (b ^+ 2 + (B + w ^+ 2))
            = P + Q + b ^+ 2 + (k + (A + B) + w ^+ 2).
    by rewrite [P + k + _]addrACA [LHS]addrACA addrA [k + (A + B)]addrA !addrA.
  by rewrite -addrA ler_add2l addrC ler_addl sqr_ge0.
rewrite mul0r mulr0 !addr0; set Q := (a * b) *+ 2.
by rewrite [P + k + Q]addrAC [P + Q + k + _]addrAC.
Qed.

Lemma stability_path {R : realFieldType} n s d q (eta G r K : R)
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) rho rho' g g' theta theta' c :
  (q <= s)%N -> 0 <= eta -> 0 <= G -> 0 <= r -> (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  orderdp_run q (fun=> eta) rho g theta -> subgradients L g theta -> fresh L rho theta ->
  orderdp_run q (fun=> eta) rho' g' theta' -> subgradients L' g' theta' ->
  fresh L' rho' theta' -> theta [::] = theta' [::] ->
  K = 2%:R * eta * G -> all (mem (candidates n s)) c -> (size c)%:R <= r ^+ 2 ->
  sqnorm (theta c - theta' c)
  <= K ^+ 2 * (size c)%:R + (K * r * (K / q%:R * (hits i c)%:R)) *+ 2
     + (K / q%:R * (hits i c)%:R) ^+ 2.
Proof.
move=> qs eta0 G0 r0 L'E LG L'G run gL rho_L run' gL' rho_L' start KE.
have K0 : 0 <= K by rewrite KE !mulr_ge0 ?ler0n.
elim/last_ind: c => [_ _|c S IH].
  by rewrite start subrr sqnorm0 /= !mulr0 mul0rn expr0n !addr0.
rewrite all_rcons size_rcons => /andP[SX cX] cr.
have cr' : (size c)%:R <= r ^+ 2 by apply: le_trans cr; rewrite ler_nat.
have {}IH := IH cX cr'; set b := K / q%:R * (hits i c)%:R in IH.
have b0 : 0 <= b by rewrite /b !mulr_ge0 ?invr_ge0 ?ler0n.
have qS : (q <= #|S|)%N.
  by have : S \in candidates n s by []; rewrite in_drawsT => /eqP ->.
have near : sqnorm (theta c - theta' c) <= (K * r + b) ^+ 2.
  apply: le_trans IH _; rewrite sqrrD [(K * r) ^+ 2]exprMn !ler_add2r.
  exact: (ler_wpmul2l (sqr_ge0 K)) cr'.
have U0 : 0 <= K * r + b by apply: addr_ge0 b0; apply: mulr_ge0.
rewrite run run'; apply: le_trans (stability_step qS eta0 G0 U0 L'E LG L'G
  (rho_L c) (rho_L' c) (gL c) (gL' c) near) _.
rewrite -KE; apply: le_trans (ler_add (ler_add IH (lexx _)) (lexx _)) _.
have -> : (hits i (rcons c S))%:R = (hits i c)%:R + (i \in S)%:R :> R.
  by rewrite /hits -cats1 count_cat /= addn0 natrD.
rewrite -[(size c).+1]addn1 natrD [K / q%:R * (_ + _)]mulrDr -/b; exact: bound_step.
Qed.

(* A sample is a candidate in a step with probability s / n.                  *)
Lemma mean_hits {R : realFieldType} n s (i : 'I_n) T : (s <= n)%N ->
  mean (sequences (candidates n s) T) (fun c => (hits i c)%:R : R^o)
  = T%:R * (s%:R / n%:R) :> R.
Proof.
move=> sn; have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
elim: T => [|T IH].
  by rewrite (mean_sequences0 _ (fun c => (hits i c)%:R : R^o)) mul0r.
rewrite (mean_sequences _ T (fun c => (hits i c)%:R : R^o)).
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
  (fun c : T.-tuple _ => (hits i c)%:R + (s%:R / n%:R : R^o))) => [|c _].
  by rewrite mean_add IH mean_const ?sequences_gt0 // -addn1 natrD mulrDl mul1r.
rewrite -(Pr_candidate i sn) Pr_mean -[(hits i c)%:R in RHS]
  (@mean_const R _ [lmodType R of R^o] _ _ X_gt0) -mean_add.
by apply: eq_mean => S _; rewrite /hits -cats1 count_cat /= addn0 natrD.
Qed.

Lemma average_close {R : realFieldType} d T (eta B : R) (x x' : nat -> 'rV[R]_d) :
  0 <= B -> (forall t, (t < T)%N -> sqnorm (x t - x' t) <= B ^+ 2) ->
  sqnorm ((\sum_(t < T) eta)^-1 *: (\sum_(t < T) eta *: x t)
          - (\sum_(t < T) eta)^-1 *: (\sum_(t < T) eta *: x' t)) <= B ^+ 2.
Proof.
move=> B0 near; rewrite -scalerBr -sumrB; under eq_bigr do rewrite -scalerBr.
rewrite -scaler_sumr scalerA sumr_const card_ord -mulr_natr.
have [->|eta0] := eqVneq eta 0; first by rewrite mulr0 scale0r sqnorm0 sqr_ge0.
rewrite invfM mulrAC mulVf // mul1r (eq_bigl (fun t => t \in [set: 'I_T])) => [|t];
  last by rewrite inE.
by apply: sqnorm_mean => // [t|]; [apply: near | rewrite cardsT card_ord].
Qed.

(* What is so close on every sequence of draws is close in expectation.       *)
Lemma mean_close {R : realFieldType} n s q d T (G K r : R) (i : 'I_n) (f : 'rV[R]_d -> R)
    (v v' : seq {set 'I_n} -> 'rV[R]_d) :
  (s <= n)%N -> 0 <= G -> 0 <= K -> 0 <= r -> lipschitz G f ->
  (forall c, c \in sequences (candidates n s) T ->
     sqnorm (v c - v' c) <= (K * r + K / q%:R * (hits i c)%:R) ^+ 2) ->
  (mean (sequences (candidates n s) T) (fun c => f (v c) - f (v' c) : R^o) : R)
  <= G * (K * (r + T%:R * s%:R / (n%:R * q%:R))).
Proof.
move=> sn G0 K0 r0 fG close.
have C_gt0 := sequences_gt0 T (etrans (congr1 _ (card_candidates n s)) (etrans (bin_gt0 _ _) sn)).
pose N (c : T.-tuple {set 'I_n}) : R^o := (hits i c)%:R.
apply: (@le_trans _ _ (mean (sequences (candidates n s) T) (fun c =>
  G * (K * r) - (- (G * (K / q%:R))) * N c + 0 : R^o))).
  apply: mean_le => c cX; rewrite addr0 mulNr opprK -mulrA -mulrDr.
  apply: lipschitz_le (close c cX) => //.
  by rewrite addr_ge0 ?mulr_ge0 ?invr_ge0 ?ler0n.
rewrite mean_affine // mean_hits // addr0 mulNr opprK -mulrA -mulrDr -[K / _ * _]mulrA -mulrDr.
by rewrite [q%:R^-1 * _]mulrC invfM !mulrA lexx.
Qed.

(* The runs and their averages stay close on every sequence of draws, and in  *)
(* expectation no Lipschitz function, such as the loss of a new sample, tells *)
(* them apart.                                                                *)
Theorem stability {R : realFieldType} (n s q d T : nat) (eta G r : R)
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) (rho rho' : seq {set 'I_n} -> {perm 'I_n})
    (g g' : seq {set 'I_n} -> 'I_n -> 'rV[R]_d) (theta theta' : seq {set 'I_n} -> 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> 0 <= eta -> 0 <= G -> 0 <= r -> r ^+ 2 = T%:R ->
  (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  orderdp_run q (fun=> eta) rho g theta -> subgradients L g theta -> fresh L rho theta ->
  orderdp_run q (fun=> eta) rho' g' theta' -> subgradients L' g' theta' ->
  fresh L' rho' theta' -> theta [::] = theta' [::] ->
  let close (v v' : seq {set 'I_n} -> 'rV[R]_d) :=
    (forall c, c \in sequences (candidates n s) T ->
       sqnorm (v c - v' c) <= (2%:R * G * eta * (r + (hits i c)%:R / q%:R)) ^+ 2) /\
    (forall f : 'rV[R]_d -> R, lipschitz G f ->
       (mean (sequences (candidates n s) T) (fun c => f (v c) - f (v' c) : R^o) : R)
       <= 2%:R * G ^+ 2 * (eta * r + eta * T%:R * s%:R / (n%:R * q%:R))) in
  close theta theta' /\
  close (average_iterate (fun=> eta) T theta) (average_iterate (fun=> eta) T theta').
Proof.
move=> qs sn eta0 G0 r0 rT L'E LG L'G run gL rho_L run' gL' rho_L' start close.
pose K := 2%:R * eta * G; have K0 : 0 <= K by rewrite !mulr_ge0 ?ler0n.
pose B c := K * r + K / q%:R * (hits i c)%:R.
have B0 c : 0 <= B c by rewrite addr_ge0 ?mulr_ge0 ?invr_ge0 ?ler0n.
have near c : all (mem (candidates n s)) c -> (size c <= T)%N ->
    sqnorm (theta c - theta' c) <= B c ^+ 2.
  move=> cX cT; have cr : (size c)%:R <= r ^+ 2 by rewrite rT ler_nat.
  apply: le_trans (stability_path qs eta0 G0 r0 L'E LG L'G run gL rho_L run' gL' rho_L' start
    (erefl K) cX cr) _.
  by rewrite /B sqrrD [(K * r) ^+ 2]exprMn !ler_add2r ler_wpmul2l ?sqr_ge0.
have main (v v' : seq {set 'I_n} -> 'rV[R]_d) : (forall c, c \in sequences (candidates n s) T ->
    sqnorm (v c - v' c) <= B c ^+ 2) -> close v v'.
  move=> vB; split=> [c cX|f fG].
    apply: le_trans (vB c cX) _; rewrite [2%:R * G * eta]mulrAC -/K /B mulrDr.
    by rewrite mulrA [K / _ * _]mulrAC.
  apply: le_trans (mean_close sn G0 K0 r0 fG vB) _.
  have -> : eta * r + eta * T%:R * s%:R / (n%:R * q%:R)
            = eta * (r + T%:R * s%:R / (n%:R * q%:R)) by rewrite mulrDr !mulrA.
  by rewrite /K expr2 mulrA [G * (_ * G)]mulrC -!mulrA [eta * (G * _)]mulrCA [G * (eta * _)]mulrCA.
split; apply: main => c; rewrite inE => cX; first by rewrite near ?size_tuple.
apply: (@average_close _ _ _ _ _ (fun t => theta (take t c)) (fun t => theta' (take t c))) => //.
move=> t tT; rewrite -(cat_take_drop t c) all_cat in cX.
apply: le_trans (near _ _ _) _; first by case/andP: cX.
  by rewrite size_take size_tuple tT ltnW.
rewrite ler_expn2r ?nnegrE // /B ler_add2l ler_wpmul2l ?divr_ge0 ?ler0n // ler_nat.
by rewrite -{2}(cat_take_drop t c) /hits count_cat leq_addr.
Qed.
