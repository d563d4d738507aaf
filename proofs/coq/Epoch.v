(* One selection an epoch, many minibatch steps: Theorem 3 with the step size *)
(* multiplied by the number of minibatches, and epochs for steps.             *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex Surrogate.
From OrderDP Require Import Vectors Convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* In the epoch after past, with candidates S, the kept samples are cut into  *)
(* K minibatches of b samples; psi past S k is the vector after k of them.    *)
Definition epoch_run {R : realFieldType} {n d : nat} (b K : nat) (eta : nat -> R)
    (batch : seq {set 'I_n} -> {set 'I_n} -> nat -> {set 'I_n})
    (g : seq {set 'I_n} -> {set 'I_n} -> nat -> 'I_n -> 'rV[R]_d)
    (psi : seq {set 'I_n} -> {set 'I_n} -> nat -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) : Prop :=
  forall past S,
    [/\ psi past S 0%N = theta past,
        forall k, psi past S k.+1 = psi past S k
          - eta (size past) *: (b%:R^-1 *: \sum_(i in batch past S k) g past S k i)
      & theta (rcons past S) = psi past S K].

(* Every sample of Q is in exactly one of the K minibatches, no other in any. *)
Definition partitions {n : nat} (b K : nat) (Q : {set 'I_n}) (batch : nat -> {set 'I_n}) :
    Prop :=
  (forall k, (k < K)%N -> #|batch k| = b) /\ forall i, (\sum_(k < K) (i \in batch k))%N = (i \in Q).

Lemma sum_partition {R : realFieldType} n b K (Q : {set 'I_n}) batch (f : 'I_n -> R) :
  partitions b K Q batch -> \sum_(k < K) \sum_(i in batch k) f i = \sum_(i in Q) f i.
Proof.
move=> [_ part]; pose part_of (k : 'I_K) i : R := if i \in batch k then f i else 0.
rewrite (eq_bigr (fun k => \sum_i part_of k i)) => [|k _]; last exact: big_mkcond.
rewrite exchange_big [RHS]big_mkcond; apply: eq_bigr => i _ /=.
have := part i; case: (i \in Q) => /= sum_i.
  rewrite (eq_bigr (fun k : 'I_K => f i *+ (i \in batch k))) => [|k _].
    by rewrite sumrMnr sum_i.
  by rewrite /part_of; case: (i \in _).
rewrite big1 // => k _; rewrite /part_of; case: ifP => // ik; have := sum_i.
by rewrite (bigD1 k) //= ik.
Qed.

(* A pass of subgradient steps: f_k at the point where its step is made is    *)
(* nearly f_k at the start of the pass.                                       *)
Lemma incremental {R : realFieldType} n d (b K : nat) (eta G : R) (batch : nat -> {set 'I_n})
    (L : 'I_n -> 'rV[R]_d -> R) (g : nat -> 'I_n -> 'rV[R]_d) (psi : nat -> 'rV[R]_d) star :
  0 <= eta -> 0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall k i, subgradient (L i) (psi k) (g k i)) -> (forall k, (k < K)%N -> (#|batch k| <= b)%N) ->
  (forall k, psi k.+1 = psi k - eta *: (b%:R^-1 *: \sum_(i in batch k) g k i)) ->
  sqnorm (psi K - psi 0%N) <= (K%:R * (eta * G)) ^+ 2 /\
  sqnorm (psi K - star) <= sqnorm (psi 0%N - star)
    - 2%:R * eta * (b%:R^-1 * \sum_(k < K) \sum_(i in batch k) (L i (psi 0%N) - L i star))
    + (K%:R * eta) ^+ 2 * G ^+ 2.
Proof.
move=> eta0 G0 LG gL batch_b step; have etaG0 : 0 <= eta * G by apply: mulr_ge0.
pose h k := b%:R^-1 *: \sum_(i in batch k) g k i.
have hG k : (#|batch k| <= b)%N -> sqnorm (h k) <= G ^+ 2.
  by move=> ?; apply: sqnorm_mean => // i; apply: subgradient_sqnorm (LG i) (gL k i).
elim: K batch_b => [_|k IHk batch_b].
  by rewrite subrr sqnorm0 sqr_ge0 big_ord0 !mulr0 !mul0r expr0n mul0r subr0 addr0.
have [j /ltnW jk|near IH] := IHk _; first exact: batch_b.
have {}hG := hG k (batch_b k (leqnn _)).
rewrite step -/(h k); split.
  rewrite addrAC -(addn1 k) natrD mulrDl mul1r; apply: sqnormD_le; rewrite ?mulr_ge0 ?ler0n //.
  by rewrite sqnormN sqnormZ exprMn ler_wpmul2l ?sqr_ge0.
pose l i := L i (psi 0%N) - L i star; pose far := k%:R * (eta * G) : R.
have far0 : 0 <= far by rewrite mulr_ge0 ?ler0n.
have down : b%:R^-1 * (\sum_(i in batch k) l i) - G * far <= dot (h k) (psi k - star).
  rewrite dotZl dot_sum.
  apply: (@le_trans _ _ (b%:R^-1 * (\sum_(i in batch k) (l i - G * far)))).
    rewrite [X in _ <= _ * X]sumrB mulrBr ler_add2l ler_opp2.
    rewrite sumr_const -[_ *+ #|_|]mulr_natl [X in X <= _]mulrA.
    case: (posnP b) => [->|b_gt0]; first by rewrite invr0 !mul0r mulr_ge0.
    apply: ler_pimull; first exact: mulr_ge0.
    rewrite mulrC ler_pdivr_mulr ?ltr0n // mul1r ler_nat.
    exact: batch_b k (leqnn _).
  rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum => i _.
  apply: (@le_trans _ _ (L i (psi k) - L i star)).
    rewrite /l addrAC ler_add2r ler_subl_addl -ler_subl_addr.
    by apply: lipschitz_le (LG i) _; rewrite // -sqnormN opprB.
  by rewrite ler_subl_addr -ler_subl_addl -[psi k - _]opprB dotNr opprK; apply: gL.
rewrite [psi k - _ - star]addrAC sqnormB dotZr sqnormZ dotC.
apply: (@le_trans _ _ (sqnorm (psi k - star)
    - 2%:R * eta * (b%:R^-1 * (\sum_(i in batch k) l i) - G * far) + eta ^+ 2 * G ^+ 2)).
  apply: ler_add; last by rewrite ler_wpmul2l ?sqr_ge0.
  by rewrite ler_add2l ler_opp2 mulrA ler_wpmul2l ?mulr_ge0 ?ler0n.
rewrite big_ord_recr /= [b%:R^-1 * (_ + _)]mulrDr -/l.
set A := b%:R^-1 * \sum_(i < k) _ in IH *; set B := b%:R^-1 * _.
apply: le_trans (ler_add (ler_add IH (lexx _)) (lexx _)) _.
have -> : (k.+1%:R * eta) ^+ 2 * G ^+ 2
    = (k%:R * eta) ^+ 2 * G ^+ 2 + 2%:R * eta * (G * far) + eta ^+ 2 * G ^+ 2.
  rewrite -(addn1 k) natrD mulrDl mul1r sqrrD 2!mulrDl /far -[_ *+ 2]mulr_natl.
  congr (_ + _ + _); rewrite -!mulrA; congr (_ * _).
  rewrite mulrCA; congr (_ * _); rewrite [RHS]mulrCA; congr (_ * _).
  by rewrite expr2 mulrCA.
rewrite !addrA ler_add2r mulrBr mulrDr !opprD opprK !addrA ler_add2r.
by rewrite [X in X <= _]addrAC.
Qed.

(* Theorem 3 for the iterates at the starts of the epochs and for their       *)
(* average, with the step size K eta and T epochs.                            *)
Theorem theorem3_epoch {R : realFieldType} (n s q d T b K : nat) (eta : nat -> R) (D2 G : R)
    (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n})
    (batch : seq {set 'I_n} -> {set 'I_n} -> nat -> {set 'I_n})
    (g : seq {set 'I_n} -> {set 'I_n} -> nat -> 'I_n -> 'rV[R]_d)
    (psi : seq {set 'I_n} -> {set 'I_n} -> nat -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (0 < K)%N -> q = (K * b)%N ->
  (forall t, 0 < eta t) -> 0 <= G -> (forall i, lipschitz G (L i)) ->
  (forall i, convex (L i)) -> (forall u, ranks (order u) (fun i => L i u)) ->
  epoch_run b K eta batch g psi theta ->
  (forall past S, S \in candidates n s ->
     partitions b K (top_by (rho past) q S) (batch past S)) ->
  (forall past S k i, subgradient (L i) (psi past S k) (g past S k i)) ->
  fresh L rho theta -> sqnorm (theta [::] - star) <= D2 ->
  let eta' t := K%:R * eta t in
  expected_average s eta' T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
  <= convergence_bound D2 G eta' T /\
  (mean (sequences (candidates n s) T) (fun c =>
     surrogate s q order L (average_iterate eta' T theta c) - surrogate s q order L star
     : R^o) : R)
  <= convergence_bound D2 G eta' T.
Proof.
move=> qs sn T_gt0 K_gt0 qE eta_gt0 G0 LG cL order_L run parts gL rho_L startD eta'.
have eta'_gt0 t : 0 < eta' t by rewrite mulr_gt0 ?ltr0n.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
suff le1 : expected_average s eta' T (fun past =>
    surrogate s q order L (theta past) - surrogate s q order L star)
    <= convergence_bound D2 G eta' T.
  by split=> //; apply: le_trans (average_iterate_error _ _ qs sn T_gt0 eta'_gt0 cL order_L) _.
apply: (expected_average_le sn T_gt0 eta'_gt0 startD) => past.
pose l i : R^o := L i (theta past) - L i star.
pose lQ S : R^o := q%:R^-1 *: \sum_(i in top_by (rho past) q S) l i.
apply: (@le_trans _ _ (mean (candidates n s) (fun S => sqnorm (theta past - star)
  - 2%:R * eta' (size past) * lQ S + eta' (size past) ^+ 2 * G ^+ 2 : R^o))).
  apply: mean_le => S SX; have [psi0 psiS ->] := run past S; have [card_b _] := parts past S SX.
  have [_ ] := @incremental _ _ _ _ K _ _ _ _ _ _ star (ltW (eta_gt0 (size past))) G0 LG (gL past S)
    (fun k kK => eq_leq (card_b k kK)) psiS.
  rewrite psi0 => le1; apply: le_trans le1 _; rewrite ler_add2r ler_add2l ler_opp2.
  rewrite (sum_partition l (parts past S SX)).
  rewrite /lQ; set Q := \sum_(i in _) l i.
  rewrite /eta' mulrA -[_ *: Q]/(_ * Q) qE natrM invfM !mulrA.
  by rewrite [2%:R * K%:R * _]mulrAC mulfK // pnatr_eq0 -lt0n.
rewrite mean_affine // unbiased_stale // ler_add2r ler_add2l ler_opp2.
apply: ler_wpmul2l; first by rewrite mulr_ge0 ?ler0n ?ltW.
apply: le_trans (ler_sub (surrogate_le_ranked order qs sn (rho_L past))
                         (weighted_le_surrogate (rho past) star qs sn order_L)) _.
rewrite /surrogate -mulrBr -sumrB -[_ *: _]/(_ * _) ler_wpmul2l ?invr_ge0 ?ler0n //.
by apply: ler_sum => i _; rewrite -mulrBr.
Qed.
