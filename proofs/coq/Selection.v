(* One selection in two runs that differ in one sample: whatever the rankings  *)
(* do, what is kept of a candidate set goes down one convex function.         *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement.
From OrderDP Require Import Convex Vectors.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

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

Lemma combine {R : realFieldType} (x y X Y u v w e m : R) :
  x + u <= X + m -> y + v <= Y + m -> w <= u + v + e -> y + (x + w) <= X + Y + e + m *+ 2.
Proof.
move=> h1 h2 h3; have := ler_add (ler_add h1 h2) (lexx e).
rewrite [X + m + _]addrACA -mulr2n [X in _ <= X]addrAC; apply: le_trans.
by rewrite addrACA [x + y]addrC -addrA -[X in _ <= X]addrA !ler_add2l.
Qed.

Lemma quad {R : realFieldType} (x y z k m e : R) :
  x <= z + e -> m <= k + e -> x - y <= (k - y) + (z - m) + 2%:R * e.
Proof.
move=> h1 h2; rewrite mulr_natl mulr2n addrACA -opprD addrAC [k + z + _]addrACA.
rewrite ler_subr_addr [x - y + _]addrA subrK [x + m]addrC; exact: ler_add.
Qed.

(* A has the largest sum of a, and A' that of b', among the q-subsets of S, up *)
(* to m. The values a, b belong to one data set, a', b' to the other, which differs *)
(* in i only; from a to b and from a' to b' no value changes by more than e.  *)
Lemma top_sums {R : realFieldType} (I : finType) (S A A' : {set I}) i
    (a b a' b' : I -> R) e m :
  0 <= e -> A \subset S -> A' \subset S -> #|A| = #|A'| ->
  (forall B : {set I}, B \subset S -> #|B| = #|A| ->
     \sum_(j in B) a j <= \sum_(j in A) a j + m) ->
  (forall B : {set I}, B \subset S -> #|B| = #|A'| ->
     \sum_(j in B) b' j <= \sum_(j in A') b' j + m) ->
  (forall j, j != i -> a' j = a j) -> (forall j, j != i -> b' j = b j) ->
  (forall j, a j <= b j + e) -> (forall j, b j <= a j + e) -> (forall j, a' j <= b' j + e) ->
  \sum_(j in A) b j + \sum_(j in A') a' j
  <= \sum_(j in A) a j + \sum_(j in A') b' j + (i \in S)%:R * (2%:R * e) + m *+ 2.
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
by rewrite addrACA -mulr2n ler_add2r ler_addl !mulr_ge0 ?ler0n.
Qed.

(* A pass over K minibatches moves by eta times the sum V of their means, and *)
(* V goes down the losses at the start of the pass, but for the drift in it.  *)
Lemma pass {R : realFieldType} n d (b K : nat) (eta G : R) (batch : nat -> {set 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) (g : nat -> 'I_n -> 'rV[R]_d) (psi : nat -> 'rV[R]_d) :
  0 <= eta -> 0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall k i, (k < K)%N -> subgradient (L i) (psi k) (g k i)) ->
  (forall k, (k < K)%N -> (#|batch k| <= b)%N) ->
  (forall k, psi k.+1 = psi k - eta *: (b%:R^-1 *: \sum_(i in batch k) g k i)) ->
  let V := \sum_(k < K) b%:R^-1 *: \sum_(i in batch k) g k i in
  [/\ psi K = psi 0%N - eta *: V, sqnorm V <= (K%:R * G) ^+ 2 & forall x : 'rV[R]_d,
    b%:R^-1 * (\sum_(k < K) \sum_(i in batch k) (L i (psi 0%N) - L i x))
    - eta * G ^+ 2 * (K%:R * (K%:R - 1)) <= dot V (psi 0%N - x)].
Proof.
move=> eta0 G0 LG + + step; elim: K => [_ _ V|K IH gL batch_b V].
  rewrite /V !big_ord0 scaler0 subr0 sqnorm0 sqr_ge0; split=> // x.
  by rewrite big_ord0 dot0l mul0r !mulr0 subr0.
have [k i kK|k kK|psiE] := IH; [exact/gL/ltnW | exact/batch_b/ltnW |].
move: gL => /(_ K _ (leqnn _)) gL; move: batch_b => /(_ K (leqnn _)) batch_b.
set W := \sum_(k < K) _ in psiE *; set h := b%:R^-1 *: \sum_(i in batch K) g K i.
have -> : V = W + h by rewrite /V big_ord_recr.
move=> WG down; have KG0 : 0 <= K%:R * G by rewrite mulr_ge0 ?ler0n.
have hG : sqnorm h <= G ^+ 2.
  by apply: sqnorm_mean => // i; apply: subgradient_sqnorm (LG i) (gL i).
have near : sqnorm (psi 0%N - psi K) <= (eta * (K%:R * G)) ^+ 2.
  rewrite psiE opprB addrCA subrr addr0 sqnormZ exprMn.
  exact: (ler_wpmul2l (sqr_ge0 _)).
split=> [||x]; first by rewrite step psiE scalerDr opprD addrA.
  by rewrite -(addn1 K) natrD mulrDl mul1r; apply: sqnormD_le.
pose l i := L i (psi 0%N) - L i x; pose far := G * (eta * (K%:R * G)).
have far0 : 0 <= far by rewrite !mulr_ge0 ?ler0n.
have back : - far <= dot h (psi 0%N - psi K).
  by rewrite ler_oppl -dotNl; apply: dot_le; rewrite ?mulr_ge0 ?ler0n ?sqnormN.
have ahead : b%:R^-1 * (\sum_(i in batch K) l i) - far <= dot h (psi K - x).
  rewrite dotZl dot_sum.
  apply: (@le_trans _ _ (b%:R^-1 * (\sum_(i in batch K) (l i - far)))).
    rewrite [X in _ <= _ * X]sumrB mulrBr ler_add2l ler_opp2.
    rewrite sumr_const -[_ *+ #|_|]mulr_natl [X in X <= _]mulrA.
    case: (posnP b) => [->|b_gt0]; first by rewrite invr0 !mul0r.
    by apply: ler_pimull => //; rewrite mulrC ler_pdivr_mulr ?ltr0n // mul1r ler_nat.
  rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum => i _.
  apply: (@le_trans _ _ (L i (psi K) - L i x)).
    rewrite /l addrAC ler_add2r ler_subl_addl -ler_subl_addr.
    by apply: lipschitz_le (LG i) near; rewrite ?mulr_ge0 ?ler0n.
  by rewrite ler_subl_addr -ler_subl_addl -[psi K - _]opprB dotNr opprK; apply: gL.
have hE : dot h (psi K - x) + dot h (psi 0%N - psi K) = dot h (psi 0%N - x).
  by rewrite -dotDr addrC subrKA.
have farE : eta * G ^+ 2 * (K.+1%:R * (K.+1%:R - 1))
            = eta * G ^+ 2 * (K%:R * (K%:R - 1)) + (far + far).
  rewrite -(addn1 K) natrD addrK; have -> : (K%:R + 1) * K%:R = K%:R * (K%:R - 1) + K%:R *+ 2 :> R.
    by rewrite mulrBr mulr1 mulrDl mul1r mulr2n addrA subrK.
  rewrite mulrDr -mulr2n mulrnAr; congr (_ + _ *+ 2).
  by rewrite expr2 /far [K%:R * G]mulrC !mulrA [G * eta]mulrC.
rewrite big_ord_recr /= [b%:R^-1 * (_ + _)]mulrDr dotDl -hE farE.
apply: le_trans (ler_add (down x) (ler_add ahead back)).
by rewrite opprD addrACA -/l -[_ - far - far]addrA -opprD lexx.
Qed.

(* One selection from S in both runs: A and A' have nearly the largest sums of *)
(* losses, and V and V' go down them up to K w.                               *)
Lemma selection {R : realFieldType} n d q (K eta G U delta w : R)
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) (A A' S : {set 'I_n}) (x x' V V' : 'rV[R]_d) :
  (0 < q)%N -> 0 <= K -> 0 <= eta -> 0 <= G -> 0 <= U ->
  A \subset S -> A' \subset S -> #|A| = #|A'| ->
  (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  (forall B : {set 'I_n}, B \subset S -> #|B| = #|A| ->
     \sum_(j in B) L j x <= \sum_(j in A) L j x + q%:R * delta) ->
  (forall B : {set 'I_n}, B \subset S -> #|B| = #|A'| ->
     \sum_(j in B) L' j x' <= \sum_(j in A') L' j x' + q%:R * delta) ->
  sqnorm V <= (K * G) ^+ 2 -> sqnorm V' <= (K * G) ^+ 2 ->
  K / q%:R * (\sum_(j in A) (L j x - L j x')) - K * w <= dot V (x - x') ->
  K / q%:R * (\sum_(j in A') (L' j x' - L' j x)) - K * w <= dot V' (x' - x) ->
  sqnorm (x - x') <= U ^+ 2 ->
  sqnorm (x - eta *: V - (x' - eta *: V'))
  <= sqnorm (x - x') + (i \in S)%:R * (2%:R * (2%:R * (K / q%:R * G) * eta) * U)
     + 4%:R * (eta * K) * (delta + w + G ^+ 2 * (K * eta)).
Proof.
move=> q_gt0 K0 eta0 G0 U0 AS A'S AA' L'E LG L'G maxA maxA' VG V'G downV downV' near.
have near' : sqnorm (x' - x) <= U ^+ 2 by rewrite -sqnormN opprB.
have le (f : 'rV[R]_d -> R) : lipschitz G f -> f x <= f x' + G * U /\ f x' <= f x + G * U.
  by move=> fG; split; rewrite -ler_subl_addl; apply: lipschitz_le fG _.
have sums := @top_sums R _ S A A' i (L^~ x) (L^~ x') (L'^~ x) (L'^~ x') (G * U) (q%:R * delta)
  (mulr_ge0 G0 U0) AS A'S AA' maxA maxA'
  (fun j ji => congr1 (fun f => f x) (L'E j ji)) (fun j ji => congr1 (fun f => f x') (L'E j ji))
  (fun j => proj1 (le _ (LG j))) (fun j => proj2 (le _ (LG j))) (fun j => proj1 (le _ (L'G j))).
set h := (i \in S)%:R in sums *; set p := K / q%:R in downV downV' *.
have p0 : 0 <= p by rewrite divr_ge0 ?ler0n.
have KG0 : 0 <= K * G by apply: mulr_ge0.
have VVG : sqnorm (V - V') <= (K * G + K * G) ^+ 2 by apply: sqnormD_le; rewrite ?sqnormN.
set M := h * (2%:R * (G * U)) + (q%:R * delta) *+ 2.
have mono : - (p * M + (K * w) *+ 2) <= dot (V - V') (x - x').
  have -> : dot (V - V') (x - x') = dot V (x - x') + dot V' (x' - x).
    by rewrite dotBl -[x' - x]opprB dotNr.
  apply: le_trans _ (ler_add downV downV').
  rewrite [X in _ <= X]addrACA -[- (K * w) - _]opprD -mulr2n opprD ler_add2r -mulrDr -mulrN.
  apply: ler_wpmul2l => //; rewrite !sumrB addrACA -opprD ler_subr_addr addrC ler_subl_addr.
  by rewrite addrA.
have -> : x - eta *: V - (x' - eta *: V') = (x - x') - eta *: (V - V').
  rewrite scalerBr !opprB [LHS]addrACA [RHS]addrACA; congr (_ + _); exact: addrC.
have eta2 : 0 <= 2%:R * eta by rewrite mulr_ge0 ?ler0n.
have pM : p * M = h * (2%:R * (p * G * U)) + (K * delta) *+ 2.
  rewrite /M mulrDr [p * (h * _)]mulrCA [p * (2%:R * _)]mulrCA [p * (G * U)]mulrA mulrnAr.
  by congr (_ + _ *+ 2); rewrite /p mulrA divfK // pnatr_eq0 -lt0n.
have hit : 2%:R * eta * (h * (2%:R * (p * G * U)))
           = h * (2%:R * (2%:R * (p * G) * eta) * U).
  rewrite mulrCA; congr (_ * _); move: (p * G) => z.
  by rewrite !mulrA [2%:R * eta * 2%:R]mulrAC [_ * eta * z]mulrAC.
have wrong : 2%:R * eta * ((K * delta) *+ 2 + (K * w) *+ 2) = 4%:R * (eta * K) * (delta + w).
  by rewrite -mulrnDl -mulrDr mulrnAr -mulrnAl -[(2%:R * eta) *+ 2]mulr_natl !mulrA -natrM.
have far : eta ^+ 2 * (K * G + K * G) ^+ 2 = 4%:R * (eta * K) * (G ^+ 2 * (K * eta)).
  transitivity ((K * eta * G) ^+ 2 *+ 4).
    by rewrite -mulr2n exprMn_n mulrnAr -exprMn mulrA [eta * K]mulrC.
  rewrite [eta * K]mulrC; move: (K * eta) => z.
  by rewrite exprMn -mulr_natl [G ^+ 2 * z]mulrC -!mulrA; congr (_ * _); rewrite mulrA -expr2.
rewrite [X in X <= _]sqnormB dotZr sqnormZ dotC.
rewrite [4%:R * _ * _]mulrDr -far -wrong -hit [X in _ <= X]addrA; apply: ler_add; last first.
  exact: (ler_wpmul2l (sqr_ge0 _)).
rewrite -addrA -mulrDr addrA -pM ler_add2l ler_oppl [X in _ <= X]mulrA.
by rewrite -mulrN; apply: (ler_wpmul2l eta2).
Qed.

(* Ranked by scores within delta of the values, the sum kept is nearly the    *)
(* largest.                                                                   *)
Lemma nearly_top {R : realFieldType} n q (rho : {perm 'I_n}) (x h : 'I_n -> R) (delta : R)
    (S B : {set 'I_n}) :
  (q <= #|S|)%N -> ranks rho h -> (forall j, `|h j - x j| <= delta) ->
  B \subset S -> #|B| = #|top_by rho q S| ->
  \sum_(j in B) x j <= \sum_(j in top_by rho q S) x j + q%:R * (2%:R * delta).
Proof.
move=> qS rho_h near BS cB; have cA := card_top_by rho qS.
have up (f f' : 'I_n -> R) (A : {set 'I_n}) : #|A| = q -> (forall j, f j <= f' j + delta) ->
    \sum_(j in A) f j <= \sum_(j in A) f' j + q%:R * delta.
  move=> <- ff'; rewrite mulr_natl -sumr_const -big_split /=.
  by apply: ler_sum => j _; apply: ff'.
have le1 : \sum_(j in B) x j <= \sum_(j in B) h j + q%:R * delta.
  apply: up; first by rewrite cB.
  move=> j; have := near j; rewrite ler_norml => /andP[+ _].
  by rewrite ler_oppl opprB ler_subl_addl.
have le2 : \sum_(j in top_by rho q S) h j <= \sum_(j in top_by rho q S) x j + q%:R * delta.
  apply: up => // j; have := near j; rewrite ler_norml => /andP[_].
  by rewrite ler_subl_addl.
apply: le_trans le1 _; rewrite [2%:R * delta]mulr_natl mulr2n mulrDr addrA ler_add2r.
exact: le_trans (top_by_max rho_h BS cB) le2.
Qed.
