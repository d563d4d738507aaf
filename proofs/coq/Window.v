(* How much a window around the largest terms leaves out.                     *)

From mathcomp Require Import all_ssreflect.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

(* gamma_j - gamma_(j+1) for ranks 1 <= j < n, times C(n, s).                 *)
Definition drop_at (n s q j : nat) : nat := 'C(j - 1, q - 1) * 'C(n - j - 1, s - q - 1).

(* Neighbours have a rational ratio ...                                       *)
Lemma drop_ratio n s q j : 0 < q -> 0 < j ->
  drop_at n s q j.+1 * ((j - (q - 1)) * (n - j - 1))
  = drop_at n s q j * (j * (n - j - 1 - (s - q - 1))).
Proof.
move=> q_gt0 j_gt0; rewrite /drop_at subn1 /=.
have e1 := mul_bin_down j (q - 1); have e2 := mul_bin_down (n - j - 1) (s - q - 1).
rewrite -subn1 in e1; rewrite -subn1 in e2.
rewrite mulnACA ['C(j, _) * _]mulnC -e1 (_ : n - j.+1 - 1 = n - j - 1 - 1); last first.
  by rewrite !subn1 subnS.
rewrite ['C(n - j - 1 - 1, _) * _]mulnC e2 [j * _]mulnC [(_ - _) * 'C(_, _)]mulnC.
exact: mulnACA.
Qed.

Lemma drop_split n s q j : 0 < q < s -> j < n ->
  (j * (s - 2) = j * (q - 1) + j * (s - q - 1))
  /\ ((q - 1) * (n - 1) = j * (q - 1) + (q - 1) * (n - j - 1)).
Proof.
move=> /andP[q_gt0 qs] jn; split.
  rewrite -mulnDr; congr (_ * _); case: q q_gt0 qs => // q _ qs.
  by rewrite subn1 /= -subnDA addn1 -{1}(subnKC qs) !addSn !subSS subn0.
rewrite [j * _]mulnC -mulnDr; congr (_ * _).
by rewrite -subnDA addn1 -{1}(subnKC jn) addSn subSS subn0.
Qed.

(* ... that is at least 1 while j (s - 2) <= (q - 1) (n - 1), and at most 1   *)
(* behind.                                                                    *)
Lemma drop_up n s q j : 0 < q < s -> 0 < j -> j.+1 < n ->
  j * (s - 2) <= (q - 1) * (n - 1) -> drop_at n s q j <= drop_at n s q j.+1.
Proof.
move=> qs j_gt0 jn up; have /andP[q_gt0 _] := qs.
have [e1 e2] := drop_split qs (ltnW jn); rewrite e1 e2 leq_add2l in up.
case: (ltnP j q) => [jq|qj].
  by rewrite /drop_at bin_small // ltn_sub2r // (leq_ltn_trans _ jq).
have A_gt0 : 0 < (j - (q - 1)) * (n - j - 1).
  by rewrite muln_gt0 !subn_gt0 subn1 (leq_trans _ qj) ?prednK // ltn_subRL addn1.
rewrite -(leq_pmul2r A_gt0) drop_ratio // leq_mul2l; apply/orP; right.
by move: up; set N := n - j - 1 => up; rewrite mulnBl mulnBr leq_sub2l.
Qed.

Lemma drop_down n s q j : 0 < q < s -> s <= n -> 0 < j -> j.+1 < n ->
  (q - 1) * (n - 1) < j * (s - 2) -> drop_at n s q j.+1 <= drop_at n s q j.
Proof.
move=> qs sn j_gt0 jn down; have /andP[q_gt0 qs'] := qs.
have qj : q <= j.
  rewrite leqNgt; apply: contraL down => jq; rewrite -leqNgt.
  apply: leq_mul; first by rewrite subn1 -ltnS prednK.
  by rewrite (leq_trans (leq_sub2r 2 sn)) // leq_sub2l.
have [e1 e2] := drop_split qs (ltnW jn); rewrite e1 e2 ltn_add2l in down.
have A_gt0 : 0 < (j - (q - 1)) * (n - j - 1).
  by rewrite muln_gt0 !subn_gt0 subn1 (leq_trans _ qj) ?prednK // ltn_subRL addn1.
rewrite -(leq_pmul2r A_gt0) drop_ratio // leq_mul2l; apply/orP; right.
move: down; set N := n - j - 1 => down.
by rewrite mulnBl [X in X <= _]mulnBr leq_sub2l // ltnW.
Qed.

(* So the terms rise as long as they do at all, and then fall.                *)
Lemma drop_rises n s q a d : 0 < q < s -> 0 < a -> a + d < n ->
  (forall i, i < a + d -> i * (s - 2) <= (q - 1) * (n - 1)) ->
  drop_at n s q a <= drop_at n s q (a + d).
Proof.
move=> qs a_gt0; elim: d => [|d IH] dn up; first by rewrite addn0.
rewrite addnS in dn up *; apply: leq_trans (IH (ltnW dn) _) _.
  by move=> i id; apply: up; apply: ltnW.
by apply: drop_up; rewrite ?addn_gt0 ?a_gt0 ?up.
Qed.

Lemma drop_falls n s q a d : 0 < q < s -> s <= n -> 0 < a -> a + d < n ->
  (forall i, a <= i -> (q - 1) * (n - 1) < i * (s - 2)) ->
  drop_at n s q (a + d) <= drop_at n s q a.
Proof.
move=> qs sn a_gt0 + down; elim: d => [|d IH] dn; first by rewrite addn0.
rewrite addnS in dn *; apply: leq_trans (IH (ltnW dn)).
by apply: drop_down; rewrite ?addn_gt0 ?a_gt0 ?down ?leq_addr.
Qed.

Lemma drop_before n s q a b m : 0 < q < s -> s <= n -> 0 < a -> a <= b -> b <= m -> m < n ->
  drop_at n s q b < drop_at n s q m -> drop_at n s q a <= drop_at n s q b.
Proof.
move=> qs sn a_gt0 ab bm mn lt_bm.
case: (leqP (b * (s - 2)) ((q - 1) * (n - 1))) => [up|down].
  rewrite -(subnKC ab).
  apply: (drop_rises qs a_gt0); rewrite ?subnKC ?(leq_ltn_trans bm) // => i ib.
  by apply: leq_trans up; rewrite leq_mul2r (ltnW ib) orbT.
move: lt_bm; rewrite ltnNge -{1}(subnKC bm) => /negP[].
apply: (drop_falls qs sn (leq_trans a_gt0 ab)); rewrite ?subnKC // => i bi.
by apply: leq_trans down _; rewrite leq_mul2r bi orbT.
Qed.

Lemma drop_behind n s q a b m : 0 < q < s -> s <= n -> 0 < m -> m < b -> b <= a -> a < n ->
  drop_at n s q b < drop_at n s q m -> drop_at n s q a <= drop_at n s q b.
Proof.
case: b => // b qs sn m_gt0; rewrite ltnS => mb ba an lt_bm.
case: (leqP (b * (s - 2)) ((q - 1) * (n - 1))) => [up|down].
  move: lt_bm; rewrite ltnNge => /negP[]; rewrite -(subnKC (leqW mb)).
  apply: (drop_rises qs m_gt0); rewrite ?subnKC ?leqW ?(leq_ltn_trans ba) // => i ib.
  by apply: leq_trans up; rewrite leq_mul2r -ltnS ib orbT.
rewrite -(subnKC ba); apply: (drop_falls qs sn); rewrite ?subnKC // => i bi.
by apply: leq_trans down _; rewrite leq_mul2r (ltnW bi) orbT.
Qed.

(* Let m be any rank with a positive term in the window first, ..., last. If  *)
(* the terms next to the window are at most 2^-b / n of that of m, all terms  *)
(* on that side of the window are together at most 2^-b of the sum.           *)
Theorem window_tail : forall n s q first last m b c : nat,
  0 < q < s -> s <= n -> 0 < first <= m -> m <= last < n -> 0 < drop_at n s q m ->
  (1 < first -> drop_at n s q first.-1 * (n * 2 ^ b) <= drop_at n s q m) ->
  (last.+1 < n -> drop_at n s q last.+1 * (n * 2 ^ c) <= drop_at n s q m) ->
  (\sum_(1 <= j < first) drop_at n s q j) * 2 ^ b <= \sum_(1 <= j < n) drop_at n s q j
  /\ (\sum_(last.+1 <= j < n) drop_at n s q j) * 2 ^ c <= \sum_(1 <= j < n) drop_at n s q j.
Proof.
move=> n s q first last m b c qs sn /andP[first_gt0 fm] /andP[ml ln] m_gt0 left right.
have mn := leq_ltn_trans ml ln; have m1 := leq_trans first_gt0 fm.
have n_gt1 : 1 < n.
  by have /andP[q_gt0 qs'] := qs; apply: leq_trans sn; apply: leq_ltn_trans q_gt0 qs'.
have small x e : x * (n * 2 ^ e) <= drop_at n s q m -> x < drop_at n s q m.
  case: x => // x; apply: leq_trans; rewrite -[X in X < _]muln1 ltn_mul2l /=.
  by rewrite (leq_trans n_gt1) // leq_pmulr // expn_gt0.
have one_term : drop_at n s q m <= \sum_(1 <= j < n) drop_at n s q j.
  by rewrite (bigD1_seq m) ?mem_index_iota ?m1 ?iota_uniq //= leq_addr.
have side l r x e : (l <= r) && (r <= n) ->
    (forall j, l <= j < r -> drop_at n s q j <= x) -> x * (n * 2 ^ e) <= drop_at n s q m ->
    (\sum_(l <= j < r) drop_at n s q j) * 2 ^ e <= \sum_(1 <= j < n) drop_at n s q j.
  move=> /andP[lr rn] le_x le_m; apply: leq_trans one_term; apply: leq_trans le_m.
  rewrite mulnA leq_mul2r; apply/orP; right; rewrite big_nat.
  apply: (@leq_trans (\sum_(l <= j < r | l <= j < r) x)); first exact: leq_sum.
  by rewrite -big_nat sum_nat_const_nat mulnC leq_mul2l (leq_trans (leq_subr _ _)) ?orbT.
split.
  case: (ltnP 1 first) => [f1|]; last by move=> f1; rewrite big_geq.
  apply: side (left f1); first by rewrite first_gt0 (leq_trans fm (ltnW mn)).
  move=> j /andP[j1 jf]; apply: (drop_before qs sn j1 _ _ mn (small _ _ (left f1))).
    by rewrite -ltnS prednK.
  exact: leq_trans (leq_pred _) fm.
case: (ltnP last.+1 n) => [l1|]; last by move=> l1; rewrite big_geq.
apply: side (right l1); first by rewrite ltnW ?leqnn.
by move=> j /andP[lj jn]; apply: (drop_behind qs sn m1 _ lj jn (small _ _ (right l1))).
Qed.
