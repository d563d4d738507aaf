(* Two runs with the same candidate sets, on data that differ in one sample.  *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate Vectors Convergence Epoch Selection.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* ************************************************************************** *)
(* All selections                                                             *)
(* ************************************************************************** *)

(* Runs with one selection an epoch, K minibatches of b each, and scores that *)
(* are losses at one of the last tau + 1 selections.                          *)
Definition aged_epochs {R : realFieldType} {n d : nat} (s q b K tau : nat) (eta : nat -> R)
    (L : 'I_n -> 'rV[R]_d -> R) (rho : seq {set 'I_n} -> {perm 'I_n})
    (H : seq {set 'I_n} -> 'I_n -> R)
    (batch : seq {set 'I_n} -> {set 'I_n} -> nat -> {set 'I_n})
    (g : seq {set 'I_n} -> {set 'I_n} -> nat -> 'I_n -> 'rV[R]_d)
    (psi : seq {set 'I_n} -> {set 'I_n} -> nat -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) : Prop :=
  [/\ epoch_run b K eta batch g psi theta,
      forall past S, S \in candidates n s ->
        partitions b K (top_by (rho past) q S) (batch past S),
      forall past S k i, (k < K)%N -> subgradient (L i) (psi past S k) (g past S k i),
      ranked_by rho H
    & forall past i, exists2 u, (size past - tau <= u <= size past)%N
        & H past i = L i (theta (take u past))].

(* In how many of the selections, weighted by the step sizes, the sample i is *)
(* a candidate.                                                               *)
Definition hit_steps {R : realFieldType} {n : nat} (eta : nat -> R) (i : 'I_n)
    (c : seq {set 'I_n}) : R :=
  \sum_(t < size c) eta t * (i \in nth set0 c t)%:R.

Lemma hit_steps_rcons {R : realFieldType} n (eta : nat -> R) (i : 'I_n) c S :
  hit_steps eta i (rcons c S) = hit_steps eta i c + eta (size c) * (i \in S)%:R.
Proof.
rewrite /hit_steps size_rcons big_ord_recr /= nth_rcons ltnn eqxx; congr (_ + _).
by apply: eq_bigr => t _; rewrite nth_rcons ltn_ord.
Qed.

Lemma hit_steps_ge0 {R : realFieldType} n (eta : nat -> R) (i : 'I_n) c :
  (forall t, 0 <= eta t) -> 0 <= hit_steps eta i c.
Proof. by move=> eta0; apply: sumr_ge0 => t _; rewrite mulr_ge0 ?ler0n. Qed.

(* A sample is a candidate in a step with probability s / n.                  *)
Theorem mean_hit_steps {R : realFieldType} n s (eta : nat -> R) (i : 'I_n) T : (s <= n)%N ->
  mean (sequences (candidates n s) T) (fun c => hit_steps eta i c : R^o)
  = (\sum_(t < T) eta t) * (s%:R / n%:R) :> R.
Proof.
move=> sn; have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
elim: T => [|T IH].
  by rewrite (mean_sequences0 _ (fun c => hit_steps eta i c : R^o)) /hit_steps !big_ord0 mul0r.
rewrite (mean_sequences _ T (fun c => hit_steps eta i c : R^o)).
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _
  (fun c : T.-tuple _ => hit_steps eta i c + (eta T * (s%:R / n%:R) : R^o))) => [|c _].
  by rewrite mean_add IH mean_const ?sequences_gt0 // big_ord_recr mulrDl.
pose f (S : {set 'I_n}) : R^o := hit_steps eta i c.
pose f' (S : {set 'I_n}) : R^o := eta T *: ((i \in S)%:R : R^o).
rewrite (@eq_mean _ _ _ _ _ (fun S => f S + f' S)) => [|S _].
  by rewrite mean_add mean_const // mean_scale -Pr_mean Pr_candidate.
by rewrite hit_steps_rcons size_tuple.
Qed.

(* What one selection does, whatever follows.                                 *)
Lemma epoch_step {R : realFieldType} n s d q b K tau (eta : nat -> R) (G : R)
    (L : 'I_n -> 'rV[R]_d -> R) rho H batch g psi theta past S :
  (0 < q)%N -> q = (K * b)%N -> 0 <= eta (size past) -> 0 <= G ->
  (forall i, lipschitz G (L i)) -> aged_epochs s q b K tau eta L rho H batch g psi theta ->
  S \in candidates n s ->
  exists V, [/\ theta (rcons past S) = theta past - eta (size past) *: V,
    sqnorm V <= (K%:R * G) ^+ 2 & forall x : 'rV[R]_d,
    K%:R / q%:R * (\sum_(j in top_by (rho past) q S) (L j (theta past) - L j x))
    - K%:R * (G ^+ 2 * ((K%:R - 1) * eta (size past))) <= dot V (theta past - x)].
Proof.
move=> q_gt0 qE eta0 G0 LG [run parts gL _ _] SX; have [psi0 psiS ->] := run past S.
have part := parts past S SX; have [card_b _] := part.
have [-> VG down] := @pass _ _ _ b K _ _ _ L _ _ eta0 G0 LG (gL past S)
  (fun k kK => eq_leq (card_b k kK)) psiS.
rewrite psi0 in down *; exists (\sum_(k < K) b%:R^-1 *: \sum_(i in batch past S k) g past S k i).
split=> // x; apply: le_trans (down x).
rewrite (sum_partition (fun i => L i (theta past) - L i x) part).
have K0 : K%:R != 0 :> R by move: q_gt0; rewrite qE muln_gt0 pnatr_eq0 -lt0n => /andP[].
have -> : K%:R / q%:R = b%:R^-1 :> R by rewrite qE natrM invfM mulrA divff // mul1r.
rewrite ler_add2l ler_opp2 mulrCA [_ * G ^+ 2]mulrC -!mulrA.
by rewrite [eta _ * (K%:R - 1)]mulrC.
Qed.

(* Between two selections the vector has moved by at most K G times the sum   *)
(* of the step sizes; so much is a score wrong, times G.                      *)
Lemma aged_scores {R : realFieldType} n s d q b K tau (eta : nat -> R) (G : R)
    (L : 'I_n -> 'rV[R]_d -> R) rho H batch g psi theta past :
  (0 < q)%N -> q = (K * b)%N -> (forall t, 0 <= eta t) -> 0 <= G ->
  (forall i, lipschitz G (L i)) -> aged_epochs s q b K tau eta L rho H batch g psi theta ->
  all (mem (candidates n s)) past ->
  forall j, `|H past j - L j (theta past)|
            <= G * (K%:R * G * \sum_(size past - tau <= u < size past) eta u).
Proof.
move=> q_gt0 qE eta0 G0 LG run pastX.
have sum0 v w : 0 <= \sum_(v <= k < w) eta k by apply: sumr_ge0.
have KG0 : 0 <= K%:R * G by rewrite mulr_ge0 ?ler0n.
have drift u : (u <= size past)%N ->
    sqnorm (theta past - theta (take u past)) <= (K%:R * G * \sum_(u <= k < size past) eta k) ^+ 2.
  elim/last_ind: past pastX => [|past S IH]; rewrite ?size_rcons.
    by rewrite subrr sqnorm0 sqr_ge0.
  rewrite all_rcons => /andP[SX pastX]; rewrite leq_eqVlt => /predU1P[->|].
    by rewrite -(size_rcons past S) take_size subrr sqnorm0 sqr_ge0.
  rewrite ltnS => us; rewrite -cats1 takel_cat // cats1 big_nat_recr //= mulrDr.
  have [V [-> VG _]] := epoch_step q_gt0 qE (eta0 (size past)) G0 LG run SX.
  rewrite addrAC; apply: sqnormD_le; [exact: mulr_ge0 | exact: mulr_ge0 | exact: IH |].
  by rewrite sqnormN sqnormZ [_ * G * _]mulrC exprMn; apply: (ler_wpmul2l (sqr_ge0 _)).
have [_ _ _ _ age] := run; move=> j; have [u /andP[old us] ->] := age past j.
have moved := drift u us.
apply: (@le_trans _ _ (G * (K%:R * G * \sum_(u <= k < size past) eta k))).
  rewrite ler_norml ler_oppl opprB; apply/andP; split.
    exact: lipschitz_le (mulr_ge0 KG0 (sum0 u _)) (LG j) moved.
  by apply: lipschitz_le (mulr_ge0 KG0 (sum0 u _)) (LG j) _; rewrite // -sqnormN opprB.
rewrite ler_wpmul2l // ler_wpmul2l //.
by rewrite (big_cat_nat _ _ _ old us) /= ler_addr.
Qed.

(* The bound on the squared distance grows with each selection and each hit.  *)
Lemma bound_step {R : realFieldType} (P k a b w : R) (h : bool) :
  P + (a * b) *+ 2 + b ^+ 2 + h%:R * (2%:R * w * (a + b)) + k
  <= P + k + (a * (b + w * h%:R)) *+ 2 + (b + w * h%:R) ^+ 2.
Proof.
case: h.
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

(* What the selections at steps before m add to the squared distance, over    *)
(* (2 G)^2, without the replaced sample.                                      *)
Definition expansion {R : realFieldType} (K tau : nat) (eta : nat -> R) (m : nat) : R :=
  \sum_(t < m) K%:R * eta t
    * ((2%:R * K%:R - 1) * eta t + 2%:R * K%:R * \sum_(t - tau <= u < t) eta u).

Lemma step_constant {R : realFieldType} (K eta G Delta : R) :
  4%:R * (eta * K) * (2%:R * (G * (K * G * Delta)) + G ^+ 2 * ((K - 1) * eta) + G ^+ 2 * (K * eta))
  = (2%:R * G) ^+ 2 * (K * eta * ((2%:R * K - 1) * eta + 2%:R * K * Delta)).
Proof.
have -> : 2%:R * (G * (K * G * Delta)) = G ^+ 2 * (2%:R * K * Delta).
  by rewrite [K * G]mulrC -!mulrA !(mulrCA 2%:R G) mulrA -expr2.
rewrite -!mulrDr -addrA -mulrDl addrC; have -> : K - 1 + K = 2%:R * K - 1.
  by rewrite [2%:R * K]mulr_natl mulr2n addrAC.
rewrite [eta * K]mulrC exprMn -natrX; move: (_ + _) (K * eta) (G ^+ 2) => y z x.
by rewrite -!mulrA [z * (x * y)]mulrCA.
Qed.

Lemma stability_path {R : realFieldType} n s d q b K tau (eta : nat -> R) (G r : R) T
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) rho rho' H H' batch batch' g g' psi psi'
    theta theta' :
  (0 < q)%N -> (q <= s)%N -> q = (K * b)%N -> (forall t, 0 <= eta t) -> 0 <= G -> 0 <= r ->
  expansion K tau eta T = r ^+ 2 -> (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  aged_epochs s q b K tau eta L rho H batch g psi theta ->
  aged_epochs s q b K tau eta L' rho' H' batch' g' psi' theta' ->
  theta [::] = theta' [::] -> forall c, all (mem (candidates n s)) c -> (size c <= T)%N ->
  sqnorm (theta c - theta' c)
  <= (2%:R * G * r + 2%:R * (K%:R / q%:R * G) * hit_steps eta i c) ^+ 2.
Proof.
move=> q_gt0 qs qE eta0 G0 r0 rE L'E LG L'G run run' start c cX cT.
have K_gt0 : (0 < K)%N by move: q_gt0; rewrite qE muln_gt0 => /andP[].
have p0 : 0 <= K%:R / q%:R :> R by rewrite divr_ge0 ?ler0n.
pose a := 2%:R * G * r; pose b' c := 2%:R * (K%:R / q%:R * G) * hit_steps eta i c.
have a0 : 0 <= a by rewrite !mulr_ge0 ?ler0n.
have b0 c' : 0 <= b' c' by rewrite !mulr_ge0 ?ler0n ?invr_ge0 ?ler0n ?hit_steps_ge0.
have term0 t : 0 <= K%:R * eta t
    * ((2%:R * K%:R - 1) * eta t + 2%:R * K%:R * \sum_(t - tau <= u < t) eta u).
  have K1 : 1 <= 2%:R * K%:R :> R by rewrite -natrM ler1n muln_gt0.
  rewrite mulr_ge0 ?addr_ge0 ?mulr_ge0 ?ler0n ?subr_ge0 //; exact: sumr_ge0.
have grows m : (m <= T)%N -> (2%:R * G) ^+ 2 * expansion K tau eta m <= a ^+ 2.
  move=> mT; rewrite /a [X in _ <= X]exprMn ler_wpmul2l ?sqr_ge0 // -rE /expansion.
  rewrite -(big_mkord xpredT (fun t => K%:R * eta t
    * ((2%:R * K%:R - 1) * eta t + 2%:R * K%:R * \sum_(t - tau <= u < t) eta u))).
  rewrite -(big_mkord xpredT (fun t => K%:R * eta t
    * ((2%:R * K%:R - 1) * eta t + 2%:R * K%:R * \sum_(t - tau <= u < t) eta u))).
  by rewrite (big_cat_nat _ _ _ (leq0n m) mT) /= ler_addl sumr_ge0.
suff le1 : sqnorm (theta c - theta' c)
    <= (2%:R * G) ^+ 2 * expansion K tau eta (size c) + (a * b' c) *+ 2 + b' c ^+ 2.
  by apply: le_trans le1 _; rewrite sqrrD !ler_add2r grows.
elim/last_ind: c cX cT => [_ _|c S IH].
  rewrite start subrr sqnorm0 /expansion /b' /hit_steps !big_ord0 !mulr0 mul0rn expr0n.
  by rewrite !addr0.
rewrite all_rcons size_rcons => /andP[SX cX] cT.
have {}IH := IH cX (ltnW cT).
have near : sqnorm (theta c - theta' c) <= (a + b' c) ^+ 2.
  by apply: le_trans IH _; rewrite sqrrD !ler_add2r grows // ltnW.
have qS : (q <= #|S|)%N.
  by have : S \in candidates n s by []; rewrite in_drawsT => /eqP ->.
have sub (rh : {perm 'I_n}) : top_by rh q S \subset S.
  by apply/subsetP => j; rewrite inE => /andP[].
have [V [-> VG down]] := epoch_step q_gt0 qE (eta0 (size c)) G0 LG run SX.
have [V' [-> V'G down']] := epoch_step q_gt0 qE (eta0 (size c)) G0 L'G run' SX.
have wrong := aged_scores q_gt0 qE eta0 G0 LG run cX.
have wrong' := aged_scores q_gt0 qE eta0 G0 L'G run' cX.
have [_ _ _ rho_H _] := run; have [_ _ _ rho_H' _] := run'.
apply: le_trans (selection q_gt0 (ler0n _ K) (eta0 (size c)) G0 (addr_ge0 a0 (b0 c))
  (sub (rho c)) (sub (rho' c)) (etrans (card_top_by _ qS) (esym (card_top_by _ qS)))
  L'E LG L'G (fun B => nearly_top qS (rho_H c) wrong) (fun B => nearly_top qS (rho_H' c) wrong')
  VG V'G (down _) (down' _) near) _.
rewrite step_constant /expansion big_ord_recr /= [_ ^+ 2 * (_ + _)]mulrDr -/(expansion K tau eta _).
have -> : b' (rcons c S) = b' c + 2%:R * (K%:R / q%:R * G) * eta (size c) * (i \in S)%:R.
  by rewrite /b' hit_steps_rcons mulrDr [_ * (eta _ * _)]mulrA.
apply: le_trans (ler_add (ler_add IH (lexx _)) (lexx _)) _; exact: bound_step.
Qed.

Lemma average_close {R : realFieldType} d T (eta : nat -> R) (B : R) (x x' : nat -> 'rV[R]_d) :
  (forall t, 0 <= eta t) -> 0 <= B -> (forall t, (t < T)%N -> sqnorm (x t - x' t) <= B ^+ 2) ->
  sqnorm ((\sum_(t < T) eta t)^-1 *: (\sum_(t < T) eta t *: x t)
          - (\sum_(t < T) eta t)^-1 *: (\sum_(t < T) eta t *: x' t)) <= B ^+ 2.
Proof.
move=> eta0 B0 near; rewrite -scalerBr -sumrB; under eq_bigr do rewrite -scalerBr.
have sumB : sqnorm (\sum_(t < T) eta t *: (x t - x' t)) <= ((\sum_(t < T) eta t) * B) ^+ 2.
  rewrite mulr_suml.
  suff [] : 0 <= \sum_(t < T) eta t * B /\
    sqnorm (\sum_(t < T) eta t *: (x t - x' t)) <= (\sum_(t < T) eta t * B) ^+ 2 by [].
  apply: (big_rec2 (fun v e => 0 <= e /\ sqnorm v <= e ^+ 2)); first by rewrite sqnorm0 sqr_ge0.
  move=> t v e _ [e0 ve]; split; first by rewrite addr_ge0 ?mulr_ge0.
  apply: sqnormD_le => //; first exact: mulr_ge0.
  by rewrite sqnormZ exprMn; apply: (ler_wpmul2l (sqr_ge0 _)); apply: near.
rewrite sqnormZ; have [->|E0] := eqVneq (\sum_(t < T) eta t) 0.
  by rewrite invr0 expr0n mul0r sqr_ge0.
apply: le_trans (ler_wpmul2l (sqr_ge0 _) sumB) _.
by rewrite -exprMn mulrA mulVf // mul1r.
Qed.

(* What is so close on every sequence of draws is close in expectation.       *)
Lemma mean_close {R : realFieldType} n s d T (eta : nat -> R) (G r p : R) (i : 'I_n)
    (f : 'rV[R]_d -> R) (v v' : seq {set 'I_n} -> 'rV[R]_d) :
  (s <= n)%N -> (forall t, 0 <= eta t) -> 0 <= G -> 0 <= r -> 0 <= p -> lipschitz G f ->
  (forall c, c \in sequences (candidates n s) T ->
     sqnorm (v c - v' c) <= (2%:R * G * (r + p * hit_steps eta i c)) ^+ 2) ->
  (mean (sequences (candidates n s) T) (fun c => f (v c) - f (v' c) : R^o) : R)
  <= 2%:R * G ^+ 2 * (r + p * ((\sum_(t < T) eta t) * (s%:R / n%:R))).
Proof.
move=> sn eta0 G0 r0 p0 fG close; set g2 := 2%:R * G ^+ 2.
have C_gt0 := sequences_gt0 T (etrans (congr1 _ (card_candidates n s)) (etrans (bin_gt0 _ _) sn)).
pose N (c : T.-tuple {set 'I_n}) : R^o := hit_steps eta i c.
apply: (@le_trans _ _ (mean (sequences (candidates n s) T) (fun c =>
  g2 * r - (- (g2 * p)) * N c + 0 : R^o))).
  apply: mean_le => c cX; rewrite addr0 mulNr opprK -mulrA -mulrDr.
  have -> : g2 * (r + p * N c) = G * (2%:R * G * (r + p * hit_steps eta i c)).
    by rewrite /g2 expr2 [RHS]mulrA [2%:R * G]mulrC [2%:R * (G * G)]mulrC -!mulrA.
  apply: lipschitz_le (close c cX) => //.
  by rewrite !mulr_ge0 ?ler0n ?addr_ge0 ?mulr_ge0 ?hit_steps_ge0.
clearbody g2; rewrite mean_affine // mean_hit_steps // addr0 mulNr opprK.
by rewrite -[g2 * p * _]mulrA -mulrDr lexx.
Qed.

(* The runs and their averages stay close on every sequence of draws, and in  *)
(* expectation no Lipschitz function, such as the loss of a new sample, tells *)
(* them apart.                                                                *)
Theorem stability {R : realFieldType} (n s q d T b K tau : nat) (eta : nat -> R) (G r : R)
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) (rho rho' : seq {set 'I_n} -> {perm 'I_n})
    (H H' : seq {set 'I_n} -> 'I_n -> R)
    (batch batch' : seq {set 'I_n} -> {set 'I_n} -> nat -> {set 'I_n})
    (g g' : seq {set 'I_n} -> {set 'I_n} -> nat -> 'I_n -> 'rV[R]_d)
    (psi psi' : seq {set 'I_n} -> {set 'I_n} -> nat -> 'rV[R]_d)
    (theta theta' : seq {set 'I_n} -> 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> q = (K * b)%N -> (forall t, 0 <= eta t) -> 0 <= G ->
  0 <= r -> r ^+ 2 = expansion K tau eta T -> (forall j, j != i -> L' j = L j) ->
  (forall j, lipschitz G (L j)) -> (forall j, lipschitz G (L' j)) ->
  aged_epochs s q b K tau eta L rho H batch g psi theta ->
  aged_epochs s q b K tau eta L' rho' H' batch' g' psi' theta' -> theta [::] = theta' [::] ->
  let close (v v' : seq {set 'I_n} -> 'rV[R]_d) :=
    (forall c, c \in sequences (candidates n s) T ->
       sqnorm (v c - v' c) <= (2%:R * G * (r + K%:R / q%:R * hit_steps eta i c)) ^+ 2) /\
    (forall f : 'rV[R]_d -> R, lipschitz G f ->
       (mean (sequences (candidates n s) T) (fun c => f (v c) - f (v' c) : R^o) : R)
       <= 2%:R * G ^+ 2 * (r + K%:R / q%:R * ((\sum_(t < T) eta t) * (s%:R / n%:R)))) in
  close theta theta' /\ close (average_iterate eta T theta) (average_iterate eta T theta').
Proof.
move=> q_gt0 qs sn qE eta0 G0 r0 rE L'E LG L'G run run' start close.
have p0 : 0 <= K%:R / q%:R :> R by rewrite divr_ge0 ?ler0n.
pose B c := 2%:R * G * (r + K%:R / q%:R * hit_steps eta i c).
have B0 c : 0 <= B c.
  by rewrite mulr_ge0 ?mulr_ge0 ?ler0n // addr_ge0 // mulr_ge0 // hit_steps_ge0.
have near c : all (mem (candidates n s)) c -> (size c <= T)%N ->
    sqnorm (theta c - theta' c) <= B c ^+ 2.
  move=> cX cT; apply: le_trans (stability_path q_gt0 qs qE eta0 G0 r0 (esym rE) L'E LG L'G
    run run' start cX cT) _.
  by rewrite /B mulrDr [K%:R / q%:R * G]mulrC !mulrA lexx.
have main (v v' : seq {set 'I_n} -> 'rV[R]_d) : (forall c, c \in sequences (candidates n s) T ->
    sqnorm (v c - v' c) <= B c ^+ 2) -> close v v'.
  by move=> vB; split=> // f fG; apply: mean_close vB.
split; apply: main => c; rewrite inE => cX; first by rewrite near ?size_tuple.
apply: (@average_close _ _ _ _ _ (fun t => theta (take t c)) (fun t => theta' (take t c))) => //.
move=> t tT; rewrite -(cat_take_drop t c) all_cat in cX.
apply: le_trans (near _ _ _) _; first by case/andP: cX.
  by rewrite size_take size_tuple tT ltnW.
rewrite ler_expn2r ?nnegrE ?B0 // /B ler_wpmul2l ?mulr_ge0 ?ler0n // ler_add2l ler_wpmul2l //.
rewrite /hit_steps size_takel ?size_tuple ?(ltnW tT) //.
have -> : \sum_(u < t) eta u * (i \in nth set0 (take t c) u)%:R
          = \sum_(u < t) eta u * (i \in nth set0 c u)%:R.
  by apply: eq_bigr => u _; rewrite nth_take.
rewrite -(big_mkord xpredT (fun u => eta u * (i \in nth set0 c u)%:R)).
rewrite -(big_mkord xpredT (fun u => eta u * (i \in nth set0 c u)%:R)).
rewrite (big_cat_nat _ _ _ (leq0n t) (ltnW tT)) /= ler_addl sumr_ge0 // => u _.
by rewrite mulr_ge0 ?ler0n.
Qed.

(* ************************************************************************** *)
(* Fresh scores, one step a selection, constant step size                     *)
(* ************************************************************************** *)

(* In how many of the candidate sets the sample i is.                         *)
Definition hits {n : nat} (i : 'I_n) (c : seq {set 'I_n}) : nat :=
  count (fun S : {set 'I_n} => i \in S) c.

Lemma hit_stepsE {R : realFieldType} n (eta : R) (i : 'I_n) c :
  hit_steps (fun=> eta) i c = eta * (hits i c)%:R.
Proof.
elim/last_ind: c => [|c S IH]; first by rewrite /hit_steps big_ord0 mulr0.
by rewrite hit_steps_rcons IH -mulrDr -natrD /hits -cats1 count_cat /= addn0.
Qed.

Lemma orderdp_epochs {R : realFieldType} n s d q (eta : nat -> R) (L : 'I_n -> 'rV[R]_d -> R)
    rho g theta :
  (q <= s)%N -> orderdp_run q eta rho g theta -> subgradients L g theta -> fresh L rho theta ->
  exists psi, aged_epochs s q q 1 0 eta L rho (fun past i => L i (theta past))
    (fun past S _ => top_by (rho past) q S) (fun past _ _ => g past) psi theta.
Proof.
move=> qs run gL rho_L; exists (fun past S k => theta past
  - k%:R *: (eta (size past) *: (q%:R^-1 *: \sum_(i in top_by (rho past) q S) g past i))).
split=> // [past S|past S SX|past S [|//] i _|past i].
- split=> [|k|]; first by rewrite scale0r subr0.
    by rewrite -(addn1 k) natrD scalerDl scale1r opprD addrA.
  by rewrite scale1r; apply: run.
- split=> [k _|i]; last by rewrite big_ord1.
  by apply: card_top_by; move: SX; rewrite in_drawsT => /eqP ->.
- by rewrite scale0r subr0; apply: gL.
by exists (size past); rewrite ?subn0 ?leqnn ?take_size.
Qed.

Theorem stability_fresh {R : realFieldType} (n s q d T : nat) (eta G r : R)
    (L L' : 'I_n -> 'rV[R]_d -> R) (i : 'I_n) (rho rho' : seq {set 'I_n} -> {perm 'I_n})
    (g g' : seq {set 'I_n} -> 'I_n -> 'rV[R]_d) (theta theta' : seq {set 'I_n} -> 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> 0 <= eta -> 0 <= G -> 0 <= r -> r ^+ 2 = T%:R ->
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
move=> q_gt0 qs sn eta0 G0 r0 rT L'E LG L'G run gL rho_L run' gL' rho_L' start close.
have [psi epochs] := orderdp_epochs qs run gL rho_L.
have [psi' epochs'] := orderdp_epochs qs run' gL' rho_L'.
have root : (eta * r) ^+ 2 = expansion 1 0 (fun=> eta) T.
  rewrite exprMn rT /expansion (eq_bigr (fun=> eta ^+ 2)) => [|t _].
    by rewrite sumr_const card_ord mulr_natr.
  rewrite subn0 big_geq // !mulr1 mulr0 addr0 mul1r mulr2n addrK mul1r expr2.
  by [].
have [close1 close2] := stability q_gt0 qs sn (esym (mul1n q)) (fun=> eta0) G0
  (mulr_ge0 eta0 r0) root L'E LG L'G epochs epochs' start.
suff simple (v v' : seq {set 'I_n} -> 'rV[R]_d) :
    (forall c, c \in sequences (candidates n s) T -> sqnorm (v c - v' c)
       <= (2%:R * G * (eta * r + 1%:R / q%:R * hit_steps (fun=> eta) i c)) ^+ 2) /\
    (forall f : 'rV[R]_d -> R, lipschitz G f ->
       (mean (sequences (candidates n s) T) (fun c => f (v c) - f (v' c) : R^o) : R)
       <= 2%:R * G ^+ 2 * (eta * r + 1%:R / q%:R * ((\sum_(t < T) eta) * (s%:R / n%:R)))) ->
    close v v' by split; apply: simple.
case=> near far; split=> [c cX|f fG].
  apply: le_trans (near c cX) _; rewrite hit_stepsE mul1r [q%:R^-1 * _]mulrC.
  rewrite -[eta * _ / _]mulrA -mulrDr.
  by rewrite [2%:R * G * (eta * _)]mulrA lexx.
apply: le_trans (far f fG) _; rewrite sumr_const card_ord -[eta *+ T]mulr_natr mul1r invfM.
by rewrite [q%:R^-1 * _]mulrC !mulrA lexx.
Qed.
