(* Rankings, and the q first of a set of candidates. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The candidate sets: all subsets of s samples out of n.                     *)
Definition candidates (n s : nat) : {set {set 'I_n}} := draws [set: 'I_n] s.

(* Q(S): the elements of S with fewer than q elements of S before them, where *)
(* the samples 0, 1, ..., n - 1 are in descending order of score.             *)
Definition top {n : nat} (q : nat) (S : {set 'I_n}) : {set 'I_n} :=
  [set i in S | (#|[set k in S | (k < i)%N]| < q)%N].

(* The same when sample i has place rho i in the descending order of score.   *)
Definition top_by {n : nat} (rho : {perm 'I_n}) (q : nat) (S : {set 'I_n}) :
    {set 'I_n} :=
  [set i in S | (#|[set k in S | (rho k < rho i)%N]| < q)%N].

(* Such a rho puts the samples in descending order of their scores x.         *)
Definition ranks {R : realFieldType} {n : nat} (rho : {perm 'I_n}) (x : 'I_n -> R) :
    Prop :=
  forall i k, (rho i < rho k)%N -> x k <= x i.

Lemma card_candidates n s : #|candidates n s| = 'C(n, s).
Proof. by rewrite card_draws_of cardsT card_ord. Qed.

(* Within S the number of elements before one takes each value 0, ..., #|S|-1 *)
(* once; hence exactly q elements have fewer than q before them.              *)
Theorem card_top_by (n : nat) (rho : {perm 'I_n}) (q : nat) (S : {set 'I_n}) :
  (q <= #|S|)%N -> #|top_by rho q S| = q.
Proof.
move=> qS; pose pos i := #|[set k in S | (rho k < rho i)%N]|.
have mono i k : i \in S -> (rho i < rho k)%N -> (pos i < pos k)%N.
  move=> iS ik; apply/proper_card/properP; split.
    by apply/subsetP => x; rewrite !inE => /andP[-> /ltn_trans->].
  by exists i; rewrite !inE iS ?ltnn ?ik.
have pos_inj : {in S &, injective pos}.
  move=> i k iS kS eqp; apply: (@perm_inj _ rho); apply: ord_inj.
  by case: (ltngtP (rho i) (rho k)) => // [/(mono _ _ iS)|/(mono _ _ kS)];
     rewrite eqp ltnn.
have pos_lt i : i \in S -> (pos i < #|S|)%N.
  move=> iS; apply/proper_card/properP; split.
    by apply/subsetP => x; rewrite inE => /andP[].
  by exists i; rewrite // inE ltnn andbF.
have uniq_pos : uniq (map pos (enum S)).
  by rewrite map_inj_in_uniq ?enum_uniq // => i k; rewrite !mem_enum; apply: pos_inj.
have sub_pos : {subset map pos (enum S) <= iota 0 #|S|}.
  by move=> m /mapP[i]; rewrite mem_enum mem_iota => /pos_lt ? ->.
have [_ eq_pos] := uniq_min_size uniq_pos sub_pos
  (eq_leq (etrans (size_iota 0 #|S|) (etrans (cardE _) (esym (size_map _ _))))).
have /seq.permP perm_pos := uniq_perm uniq_pos (iota_uniq 0 #|S|) eq_pos.
rewrite card_setIS -(count_map pos (fun m => m < q)%N) perm_pos -size_filter.
by rewrite (filter_iota_ltn 0 qS) size_iota.
Qed.

(* What is kept comes before what is dropped: Q(S) is a q-argmax over S.      *)
Theorem top_by_before (n : nat) (rho : {perm 'I_n}) (q : nat) (S : {set 'I_n})
    (i k : 'I_n) :
  i \in top_by rho q S -> k \in S -> k \notin top_by rho q S -> (rho i < rho k)%N.
Proof.
rewrite !inE => /andP[iS iq] -> /=; rewrite -leqNgt => qk.
rewrite ltnNge; apply/negP => ki; have := leq_trans iq qk; rewrite ltnNge.
move=> /negP; apply; apply: subset_leq_card; apply/subsetP => x; rewrite !inE.
by move=> /andP[-> /leq_trans->].
Qed.

(* Every score vector has a ranking: a permutation that sorts it downwards.   *)
Theorem ranking_exists {R : realFieldType} (n : nat) (score : 'I_n -> R) :
  exists rho : {perm 'I_n}, ranks rho score.
Proof.
pose ge i k := score k <= score i; pose order := sort ge (enum 'I_n).
have mem_order i : i \in order by rewrite mem_sort mem_enum.
have size_order : size order = n by rewrite size_sort size_enum_ord.
have place_lt i : (index i order < n)%N by rewrite -{2}size_order index_mem.
have place_inj : injective (fun i => Ordinal (place_lt i)).
  by move=> i k [/(congr1 (nth i order))]; rewrite !nth_index.
exists (perm place_inj) => i k; rewrite !permE /= => /ltnW.
have ge_trans : transitive ge by move=> y x z xy yz; exact: le_trans yz xy.
have ge_total : total ge by move=> x y; apply: le_total.
apply: (sorted_leq_index ge_trans) => //; first by move=> x; apply: lexx.
exact: sort_sorted.
Qed.

(* With the identity ranking, top_by is top.                                  *)
Lemma top_by1 n q (S : {set 'I_n}) : top_by 1 q S = top q S.
Proof.
apply/setP => i; rewrite !inE perm1; congr (_ && (_ < q)%N).
by apply: eq_card => k; rewrite !inE perm1.
Qed.

Lemma card_top n q (S : {set 'I_n}) : (q <= #|S|)%N -> #|top q S| = q.
Proof. by rewrite -top_by1; apply: card_top_by. Qed.

(* Ranking by rho is the same as renaming every sample by its place.          *)
Lemma mem_top_by n (rho : {perm 'I_n}) q (S : {set 'I_n}) i :
  (i \in top_by rho q S) = (rho i \in top q (rho @: S)).
Proof.
rewrite !inE (mem_imset _ _ perm_inj); congr (_ && (_ < q)%N).
rewrite -(card_imset _ (@perm_inj _ rho)); apply: eq_card => k.
apply/imsetP/idP => [[m]|]; rewrite !inE.
  by move=> /andP[mS mi] ->; rewrite (mem_imset _ _ perm_inj) mS.
by case/andP=> /imsetP[m mS ->] mi; exists m; rewrite ?inE ?mS.
Qed.

(* If the later one, k, is kept then so is every candidate before it. So j    *)
(* and k are both kept exactly if both are candidates and at most q - 2 of    *)
(* the other candidates are before k.                                         *)
Lemma both_kept n q (S : {set 'I_n}) (j k : 'I_n) : (j < k)%N ->
  (j \in top q S) && (k \in top q S)
  = ([set j; k] \subset S) && (#|S :&: ([set i : 'I_n | (i < k)%N] :\ j)| < q - 1)%N.
Proof.
move=> jk; rewrite subUset !sub1set !inE.
case jS: (j \in S) => //=; case kS: (k \in S); rewrite /= ?andbF //.
have jin : j \in [set i in S | (i < k)%N] by rewrite inE jS.
rewrite ltn_subRL [in RHS](_ : 1 + _ = #|[set i in S | (i < k)%N]|)%N; last first.
  rewrite (cardsD1 j) jin; congr (_ + _)%N; apply: eq_card => i.
  by rewrite !inE andbCA.
apply: andb_idl; apply: leq_ltn_trans; apply: subset_leq_card.
by apply/subsetP => i; rewrite !inE => /andP[-> /ltn_trans->].
Qed.

(* Among the sets of as many candidates, the top ones have the largest sum:   *)
(* each element of A outside B is at least as large as each of B outside A.   *)
Lemma top_by_max {R : realFieldType} n (rho : {perm 'I_n}) q (S B : {set 'I_n})
    (x : 'I_n -> R) :
  ranks rho x -> B \subset S -> #|B| = #|top_by rho q S| ->
  \sum_(i in B) x i <= \sum_(i in top_by rho q S) x i.
Proof.
move=> rho_x /subsetP BS; set A := top_by rho q S => eqBA.
rewrite (big_setID A) [X in _ <= X](big_setID B) /= setIC ler_add2l.
have eqN : #|B :\: A| = #|A :\: B|.
  by apply/(@addnI #|A :&: B|); rewrite cardsID setIC cardsID.
case: (posnP #|A :\: B|) => [N0|N_gt0].
  by move: eqN; rewrite N0 => /cards0_eq->; move: N0 => /cards0_eq->; rewrite !big_set0.
rewrite -(ler_pmuln2r N_gt0) -{2}eqN -!sumr_const [X in _ <= X]exchange_big /=.
apply: ler_sum => i; rewrite inE => /andP[iB iA]; apply: ler_sum => k.
by rewrite inE => /andP[kA /BS kS]; rewrite rho_x // (top_by_before iA).
Qed.
