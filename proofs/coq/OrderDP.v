(* OrderDP: which samples random-then-top selection keeps, and what its       *)
(* gradient estimates, proved for every n, s and q.                           *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* ************************************************************************** *)
(* Definitions                                                                *)
(* ************************************************************************** *)

(* Probability of P and expectation of f, for x uniform on the finite set X.  *)
Definition Pr {T : finType} (X : {set T}) (P : pred T) : rat :=
  #|[set x in X | P x]|%:R / #|X|%:R.

Definition mean {T : finType} {V : lmodType rat} (X : {set T}) (f : T -> V) : V :=
  #|X|%:R^-1 *: \sum_(x in X) f x.

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
Definition ranks {n : nat} (rho : {perm 'I_n}) (x : 'I_n -> rat) : Prop :=
  forall i k, (rho i < rho k)%N -> x k <= x i.

(* The paper's weight of rank r = 1, ..., n, with its summation limits.       *)
Definition gamma (n s q r : nat) : rat :=
  \sum_(maxn 1 (s + r - n) <= l < (minn q r).+1)
    ('C(r - 1, l - 1) * 'C(n - r, s - l))%:R / 'C(n, s)%:R.

(* P(Y = m) when d items are drawn from N of which K are marked and Y counts  *)
(* the marked ones drawn.                                                     *)
Definition hypergeometric (N K d m : nat) : rat :=
  if (m <= d)%N then ('C(K, m) * 'C(N - K, d - m))%:R / 'C(N, d)%:R else 0.

(* ************************************************************************** *)
(* The definitions say what they should                                       *)
(* ************************************************************************** *)

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

Lemma card_candidates n s : #|candidates n s| = 'C(n, s).
Proof. by rewrite card_draws_of cardsT card_ord. Qed.

Lemma card_setIS (T : finType) (S : {set T}) (P : pred T) :
  #|[set i in S | P i]| = count P (enum S).
Proof.
rewrite -sum1_count big_enum_cond /= -sum1_card.
by apply: eq_bigl => i; rewrite !inE.
Qed.

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
Theorem ranking_exists (n : nat) (score : 'I_n -> rat) :
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

(* Of all samples, the first K marked, a draw of d has m marked ones with this *)
(* probability.                                                               *)
Theorem hypergeometric_correct (N K d m : nat) : (K <= N)%N ->
  Pr (candidates N d) (fun S => #|[set i in S | (i < K)%N]| == m)
  = hypergeometric N K d m.
Proof.
move=> KN; pose A := [set i : 'I_N | (i < K)%N].
have cut : cut3 set0 A (~: A) by move=> i; rewrite !inE; case: ltnP.
have cardA : #|A| = K by apply: card_below.
have SA (S : {set 'I_N}) : [set i in S | (i < K)%N] = S :&: A.
  by apply/setP => i; rewrite !inE.
rewrite /Pr /hypergeometric card_candidates; case: leqP => [md|dm]; last first.
  rewrite eq_card0 ?mul0r // => S; rewrite inE in_drawsT SA.
  apply/negP => /andP[/eqP Sd /eqP Sm].
  by have := subset_leq_card (subsetIl S A); rewrite Sd Sm leqNgt dm.
congr (_%:R / _); have -> : (N - K = #|~: A|)%N by rewrite cardsCs setCK card_ord cardA.
rewrite -[in RHS]cardA -(card_free_parts _ _ cut); apply: eq_card => S.
rewrite !inE subsetT sub0set /= SA (card_by_parts cut (sub0set S)) cards0 add0n.
rewrite andbC; case: eqP => //= ->; rewrite -[RHS](eqn_add2l m) subnKC //.
Qed.

(* ************************************************************************** *)
(* Sums over a random set                                                     *)
(* ************************************************************************** *)

Lemma eq_Pr (T : finType) (X : {set T}) (P P' : pred T) :
  {in X, P =1 P'} -> Pr X P = Pr X P'.
Proof.
move=> eqP; rewrite /Pr; congr (_%:R / _); apply: eq_card => x.
by rewrite !inE; case xX: (x \in X); rewrite //= eqP.
Qed.

Lemma eq_mean (T : finType) (V : lmodType rat) (X : {set T}) (f f' : T -> V) :
  {in X, f =1 f'} -> mean X f = mean X f'.
Proof. by move=> eqf; rewrite /mean (eq_bigr f'). Qed.

Lemma mean_const (T : finType) (V : lmodType rat) (X : {set T}) (v : V) :
  (0 < #|X|)%N -> mean X (fun=> v) = v.
Proof.
move=> X_gt0; rewrite /mean sumr_const -scaler_nat scalerA mulVf ?scale1r //.
by rewrite pnatr_eq0 -lt0n.
Qed.

Lemma Pr_mean (T : finType) (X : {set T}) (P : pred T) :
  Pr X P = mean X (fun x => (P x)%:R : rat^o).
Proof.
rewrite /mean /Pr -sum1_card natr_sum big_mkcond /= /GRing.scale /= mulrC.
congr (_ * _); rewrite [RHS]big_mkcond; apply: eq_bigr => x _.
by rewrite inE; case: (x \in X) => //=; case: (P x).
Qed.

Lemma mean_sum (T I : finType) (V : lmodType rat) (X : {set T}) (f : T -> I -> V) :
  mean X (fun x => \sum_i f x i) = \sum_i mean X (f ^~ i).
Proof. by rewrite /mean exchange_big scaler_sumr. Qed.

Lemma mean_scaler (T : finType) (V : lmodType rat) (X : {set T}) (f : T -> rat^o) v :
  mean X (fun x => f x *: v : V) = mean X f *: v.
Proof. by rewrite /mean -scaler_suml scalerA. Qed.

Lemma mean_scale (T : finType) (V : lmodType rat) (X : {set T}) (a : rat) (f : T -> V) :
  mean X (fun x => a *: f x) = a *: mean X f.
Proof. by rewrite /mean -scaler_sumr !scalerA mulrC. Qed.

(* The mean of a sum over a random set: each term counts as often as its      *)
(* index is in the set.                                                       *)
Lemma mean_random_sum (T I : finType) (V : lmodType rat) (X : {set T})
    (Q : T -> {set I}) (g : I -> V) :
  mean X (fun x => \sum_(i in Q x) g i) = \sum_i Pr X (fun x => i \in Q x) *: g i.
Proof.
under eq_bigr do rewrite Pr_mean -mean_scaler.
rewrite -mean_sum; apply: eq_mean => x _; rewrite big_mkcond /=.
by apply: eq_bigr => i _; case: (_ \in _); rewrite ?scale1r ?scale0r.
Qed.

(* Drawing k elements of B uniformly takes each of them with chance k / #|B|. *)
Lemma Pr_draws (T : finType) (B : {set T}) k x : x \in B -> (k <= #|B|)%N ->
  Pr (draws B k) (fun U => x \in U) = k%:R / #|B|%:R.
Proof.
move=> xB kB; have B_gt0 : (0 < #|B|)%N by apply/card_gt0P; exists x.
rewrite /Pr; case: k kB => [_|k kB].
  rewrite mul0r eq_card0 ?mul0r // => U; rewrite !inE cards_eq0.
  by case: eqP => [->|]; rewrite ?andbF // inE andbF.
rewrite card_draws_with // card_draws_of; apply/eqP.
by rewrite eqr_div ?pnatr_eq0 -?lt0n ?bin_gt0 // -!natrM mulnC mul_bin_diag.
Qed.

(* ************************************************************************** *)
(* Inclusion probabilities                                                    *)
(* ************************************************************************** *)

(* The paper's summation limits only leave out terms that are zero.           *)
Theorem gamma_all_terms (n s q r : nat) : (1 <= r <= n)%N -> (q <= s)%N ->
  gamma n s q r =
  \sum_(1 <= l < q.+1) ('C(r - 1, l - 1) * 'C(n - r, s - l))%:R / 'C(n, s)%:R.
Proof.
move=> /andP[r_gt0 rn] qs; rewrite /gamma (@big_nat_widenl _ _ _ _ 1) ?leq_maxl //.
rewrite (@big_nat_widen _ _ _ _ _ q.+1) ?ltnS ?geq_minl // big_mkcond /=.
apply: eq_big_nat => l /andP[l_gt0 lq]; case: ifPn => //.
rewrite geq_max l_gt0 ltnS leq_min -[(l <= q)%N]ltnS lq /= negb_and -!ltnNge.
move=> out.
rewrite (_ : ('C(_, _) * _)%N = 0%N) ?mul0r //; apply/eqP; rewrite muln_eq0.
case/orP: out => out; last first.
  by rewrite bin_small // ltn_sub2r // (leq_ltn_trans r_gt0 out).
rewrite ['C(n - r, _)]bin_small ?orbT // ltn_subRL -(ltn_add2r r) -addnA subnK //.
by rewrite addnC -ltn_subRL.
Qed.

Lemma gamma_q0 n s r : gamma n s 0 r = 0.
Proof. by rewrite /gamma min0n big_geq // leq_maxl. Qed.

Lemma gammaE n s q (j : 'I_n) : (q <= s)%N -> gamma n s q j.+1 =
  (\sum_(l < q) 'C(j, l) * 'C(n - j.+1, s - l.+1))%:R / 'C(n, s)%:R.
Proof.
move=> qs; rewrite gamma_all_terms ?ltn_ord // big_add1 big_mkord natr_sum mulr_suml.
by apply: eq_bigr => l _; rewrite !subn1.
Qed.

(* An s-subset keeps j exactly if it contains j and l < q elements before j:  *)
(* C(j, l) choices before j and C(n - j - 1, s - l - 1) after it.             *)
Lemma card_keeping n s q (j : 'I_n) : (q <= s)%N ->
  #|[set S in candidates n s | j \in top q S]|
  = (\sum_(l < q) 'C(j, l) * 'C(n - j.+1, s - l.+1))%N.
Proof.
move=> qs; pose A := [set k : 'I_n | (k < j)%N]; pose B := [set k : 'I_n | (j < k)%N].
have cut : cut3 [set j] A B by move=> k; rewrite !inE -val_eqE /=; case: ltngtP.
have room m : (m < q)%N -> (#|[set j]| + m <= s)%N.
  by rewrite cards1 add1n => /leq_trans->.
have cardA : #|A| = j by apply: card_below (ltnW _).
transitivity (\sum_(l < q) 'C(#|A|, l) * 'C(#|B|, s - #|[set j]| - l))%N; last first.
  by apply: eq_bigr => l _; rewrite cardA card_above cards1 -subnDA add1n.
rewrite -(card_draws_meeting cut room); apply: eq_card => S.
rewrite !inE sub1set; congr [&& _, _ & (_ < q)%N].
by apply: eq_card => k; rewrite !inE.
Qed.

Theorem inclusion_probability : forall (n s q : nat) (j : 'I_n),
  (q <= s)%N -> (s <= n)%N ->
  Pr (candidates n s) (fun S => j \in top q S) = gamma n s q j.+1.
Proof.
by move=> n s q j qs sn; rewrite /Pr card_keeping // gammaE // card_candidates.
Qed.

(* The same by place for an arbitrary ranking: rename the samples.            *)
Lemma Pr_top_by n s q (rho : {perm 'I_n}) i : (q <= s)%N -> (s <= n)%N ->
  Pr (candidates n s) (fun S => i \in top_by rho q S) = gamma n s q (rho i).+1.
Proof.
move=> qs sn; rewrite -inclusion_probability // /Pr; congr (_%:R / _).
rewrite -[RHS](card_preimset _ (imset_inj (@perm_inj _ rho))).
apply: eq_card => S; rewrite inE mem_top_by !inE !subsetT.
by rewrite (card_imset _ (@perm_inj _ rho)).
Qed.

(* A sum over ranks is a sum over samples.                                    *)
Lemma sum_ranks n (V : zmodType) (F : nat -> V) :
  \sum_(1 <= r < n.+1) F r = \sum_(j < n) F j.+1.
Proof. by rewrite big_add1 big_mkord. Qed.

(* Exactly q samples are kept, so the probabilities of being kept add up to q.*)
Theorem inclusion_sum : forall n s q : nat, (q <= s)%N -> (s <= n)%N ->
  \sum_(1 <= r < n.+1) gamma n s q r = q%:R.
Proof.
move=> n s q qs sn; rewrite sum_ranks.
transitivity (\sum_j Pr (candidates n s) (fun S => j \in top q S) *: (1 : rat^o)).
  by apply: eq_bigr => j _; rewrite inclusion_probability // [_ *: _]mulr1.
rewrite -mean_random_sum (@eq_mean _ _ _ _ (fun=> q%:R)); last first.
  by move=> S; rewrite in_drawsT => /eqP Ss; rewrite sumr_const card_top ?Ss.
by apply: (@mean_const _ [lmodType rat of rat^o]); rewrite card_candidates bin_gt0.
Qed.

(* A sample is a candidate with probability s/n.                              *)
Lemma Pr_candidate n s (j : 'I_n) : (s <= n)%N ->
  Pr (candidates n s) (fun S => j \in S) = s%:R / n%:R.
Proof. by move=> sn; rewrite Pr_draws ?cardsT ?card_ord. Qed.

(* As a candidate, rank r is kept if fewer than q of the other s - 1 are      *)
(* among the r - 1 samples before it.                                         *)
Theorem inclusion_hypergeometric : forall n s q r : nat,
  (q <= s)%N -> (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s q r
  = s%:R / n%:R * \sum_(l < q) hypergeometric (n - 1) (r - 1) (s - 1) l.
Proof.
move=> [|n] s q [//|r] qs sn /= rn; first by [].
rewrite (gammaE (Ordinal rn)) // natr_sum mulr_suml mulr_sumr; apply: eq_bigr => l _.
have ls := leq_trans (ltn_ord l) qs; case: s ls qs sn => [//|s] ls qs sn.
rewrite /hypergeometric !subn1 /= -ltnS ls !subSS mulrCA; congr (_ * _).
have /= diag := mul_bin_diag n.+1 s; rewrite -mulrA -invfM -natrM diag natrM invfM.
by rewrite mulrA divff ?mul1r // pnatr_eq0.
Qed.

(* Each of the first q ranks is kept whenever it is a candidate.              *)
Theorem inclusion_plateau : forall n s q r : nat, (q <= s)%N -> (s <= n)%N ->
  (1 <= r <= q)%N -> gamma n s q r = s%:R / n%:R.
Proof.
move=> n s q [//|j] qs sn /= jq.
have jn : (j < n)%N by apply: leq_trans jq (leq_trans qs sn).
rewrite -(Pr_candidate (Ordinal jn) sn) -(inclusion_probability (Ordinal jn) qs sn).
apply: eq_Pr => S _; rewrite inE; case: (_ \in S) => //=; apply: leq_trans jq.
rewrite ltnS -[X in (_ <= X)%N](card_below (ltnW jn)).
by apply: subset_leq_card; apply/subsetP => k; rewrite !inE => /andP[].
Qed.

(* q = s keeps every candidate.                                               *)
Theorem sgd_case : forall n s r : nat, (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s s r = s%:R / n%:R.
Proof.
move=> n s [//|j] sn /= jn.
rewrite -(Pr_candidate (Ordinal jn) sn).
rewrite -(inclusion_probability (Ordinal jn) (leqnn s) sn).
apply: eq_Pr => S; rewrite in_drawsT inE => /eqP Ss; case jS: (_ \in S) => //=.
rewrite -[X in (_ < X)%N]Ss; apply/proper_card/properP; split.
  by apply/subsetP => k; rewrite inE => /andP[].
by exists (Ordinal jn); rewrite // inE ltnn andbF.
Qed.

(* Pascal's rule makes the difference of neighbouring probabilities           *)
(* telescope: only the term where j has exactly q - 1 candidates before it,   *)
(* and its successor therefore q, is left.                                    *)
Lemma keeping_step N s q j : (q.+1 < s)%N ->
  (\sum_(l < q.+1) 'C(j, l) * 'C(N.+1, s - l.+1)
   = \sum_(l < q.+1) 'C(j.+1, l) * 'C(N, s - l.+1) + 'C(j, q) * 'C(N, s - q.+2))%N.
Proof.
have pascal m : (m.+1 < s)%N ->
  'C(N.+1, s - m.+1) = ('C(N, s - m.+1) + 'C(N, s - m.+2))%N.
  by move=> ms; rewrite -(subnSK ms) binS.
elim: q => [|q IH] qs; first by rewrite !big_ord1 !bin0 !mul1n pascal.
rewrite big_ord_recr IH 1?(ltnW qs) //= [in RHS]big_ord_recr /= pascal // binS.
by rewrite mulnDl mulnDr -!addnA; congr addn; rewrite addnCA.
Qed.

Theorem inclusion_step (n s q r : nat) :
  (0 < q < s)%N -> (s <= n)%N -> (1 <= r < n)%N ->
  gamma n s q r
  = gamma n s q r.+1 + ('C(r - 1, q - 1) * 'C(n - r - 1, s - q - 1))%:R / 'C(n, s)%:R.
Proof.
case: q r => [//|q] [//|j] /= qs sn jn.
rewrite (gammaE (Ordinal (ltnW jn))) 1?ltnW // (gammaE (Ordinal jn)) 1?ltnW //=.
rewrite -mulrDl -natrD.
congr (_%:R / _); rewrite !subn1 /= -!subnS.
by rewrite -(subnSK jn) (keeping_step _ _ qs).
Qed.

Theorem inclusion_antitone : forall n s q r : nat, (q <= s)%N -> (s <= n)%N ->
  (1 <= r < n)%N -> gamma n s q r.+1 <= gamma n s q r.
Proof.
move=> n s q r qs sn /andP[r_gt0 rn].
case: (posnP q) => [->|q_gt0].
  by rewrite !gamma_q0.
move: qs; rewrite leq_eqVlt => /predU1P[->|qs].
  by rewrite !sgd_case // ?r_gt0 ltnW.
by rewrite (@inclusion_step _ _ _ r) ?q_gt0 ?r_gt0 // ler_addl divr_ge0 ?ler0n.
Qed.

Lemma gamma_eq0 n s q (j : 'I_n) : (q <= s)%N -> (s <= n)%N ->
  (gamma n s q j.+1 == 0) = [forall l : 'I_q, 'C(j, l) * 'C(n - j.+1, s - l.+1) == 0]%N.
Proof.
move=> qs sn; rewrite gammaE // mulf_eq0 invr_eq0 !pnatr_eq0.
by rewrite [X in _ || X]eqn0Ngt bin_gt0 sn orbF sum_nat_eq0.
Qed.

(* Rank r can have q - 1 or fewer candidates before it unless too few samples *)
(* are left after it: the last s - q ranks are never kept.                    *)
Theorem inclusion_support : forall n s q r : nat,
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s q r = 0 <-> (n - (s - q) < r)%N.
Proof.
move=> n s q [//|j] q_gt0 qs sn /= jn; rewrite ltnS.
split=> [/eqP|last]; last first.
  apply/eqP; rewrite (gamma_eq0 (Ordinal jn)) //; apply/forallP => l.
  rewrite muln_eq0 [X in _ || X](_ : _ = true) ?orbT // eqn0Ngt bin_gt0.
  rewrite -ltnNge subnSK // (leq_trans _ (leq_sub2l s (ltn_ord l))) //.
  by rewrite leq_subLR addnC -leq_subLR.
rewrite (gamma_eq0 (Ordinal jn)) // leqNgt => /forallP none; apply/negP => kept.
have few : (s - (n - j) < q)%N.
  rewrite ltn_psubLR // addnC -ltn_subLR // ltn_subRL addnC.
  by rewrite -ltn_subRL.
have := none (Ordinal few); rewrite /= muln_eq0 !eqn0Ngt !bin_gt0 -negb_and.
move=> /negP; apply; rewrite leq_subLR subnK ?(ltnW jn) // sn /=.
by rewrite !subnS -!subn1 leq_sub2r // leq_subLR addnC -leq_subLR.
Qed.

(* ************************************************************************** *)
(* What the gradient estimator estimates                                      *)
(* ************************************************************************** *)

(* Linearity of the expectation, and inclusion_probability.                   *)
Theorem unbiased : forall (n s q : nat) (V : lmodType rat) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
  = q%:R^-1 *: \sum_(j < n) gamma n s q j.+1 *: g j.
Proof.
move=> n s q V g qs sn; rewrite mean_scale mean_random_sum; congr (_ *: _).
by apply: eq_bigr => j _; rewrite inclusion_probability.
Qed.

Theorem unbiased_stale : forall (n s q : nat) (rho : {perm 'I_n})
    (V : lmodType rat) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by rho q S) g i)
  = q%:R^-1 *: \sum_(i < n) gamma n s q (rho i).+1 *: g i.
Proof.
move=> n s q rho V g qs sn; rewrite mean_scale mean_random_sum; congr (_ *: _).
by apply: eq_bigr => i _; rewrite Pr_top_by.
Qed.

(* ************************************************************************** *)
(* Joint inclusion                                                            *)
(* ************************************************************************** *)

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

Lemma card_keeping_both n s q (j k : 'I_n) : (q <= s)%N -> (j < k)%N ->
  #|[set S in candidates n s | (j \in top q S) && (k \in top q S)]|
  = (\sum_(m < q - 1) 'C(k.+1 - 2, m) * 'C(n - k.+1, s - 2 - m))%N.
Proof.
move=> qs jk; pose A := [set i : 'I_n | (i < k)%N] :\ j.
pose B := [set i : 'I_n | (k < i)%N]; have jk' : j != k by rewrite neq_ltn jk.
have cut : cut3 [set j; k] A B.
  move=> i; rewrite !inE -!val_eqE /=; case: (ltngtP i k) => [ik|ki|->].
  - by rewrite orbF; case: eqP.
  - by case: eqP ki => // ->; rewrite ltnNge ltnW.
  - by rewrite orbT andbF.
have cardA : #|A| = (k.+1 - 2)%N.
  have := cardsD1 j [set i : 'I_n | (i < k)%N]; rewrite card_below 1?ltnW //.
  by rewrite inE jk => ->; rewrite subn2.
have card2 : #|[set j; k]| = 2%N by rewrite cards2 jk'.
have room m : (m < q - 1)%N -> (#|[set j; k]| + m <= s)%N.
  by rewrite card2 ltn_subRL => /leq_trans->.
transitivity
    (\sum_(m < q - 1) 'C(#|A|, m) * 'C(#|B|, s - #|[set j; k]| - m))%N; last first.
  by apply: eq_bigr => m _; rewrite cardA card_above card2.
rewrite -(card_draws_meeting cut room); apply: eq_card => S.
by rewrite inE [in RHS]inE both_kept.
Qed.

(* In ranks counted from 1, the later of the two has rank k + 1.              *)
Theorem joint_inclusion : forall (n s q : nat) (j k : 'I_n),
  (q <= s)%N -> (s <= n)%N -> (j < k)%N ->
  Pr (candidates n s) (fun S => (j \in top q S) && (k \in top q S))
  = 'C(n - 2, s - 2)%:R / 'C(n, s)%:R
    * \sum_(m < q - 1) hypergeometric (n - 2) (k.+1 - 2) (s - 2) m.
Proof.
move=> n s q j k qs sn jk; rewrite /Pr card_keeping_both // card_candidates.
rewrite natr_sum mulr_suml mulr_sumr; apply: eq_bigr => m _.
have ms : (2 + m <= s)%N by have := ltn_ord m; rewrite ltn_subRL => /leq_trans->.
rewrite /hypergeometric (_ : (m <= s - 2)%N = true) ?leq_subRL ?ms ?(leq_trans _ ms) //.
have -> : (n - 2 - (k.+1 - 2) = n - k.+1)%N.
  by rewrite -subnDA subnKC // ltnS (leq_ltn_trans (leq0n j) jk).
by rewrite [RHS]mulrC mulrA divfK // pnatr_eq0 -lt0n bin_gt0 leq_sub2r.
Qed.

(* ************************************************************************** *)
(* The surrogate is never below the mean                                      *)
(* ************************************************************************** *)

Lemma gamma_antitone n s q r r' : (q <= s)%N -> (s <= n)%N ->
  (0 < r)%N -> (r <= r' <= n)%N -> gamma n s q r' <= gamma n s q r.
Proof.
move=> qs sn r_gt0 /andP[]; elim: r' => [|r' IH]; first by rewrite leqn0 => /eqP->.
rewrite leq_eqVlt => /predU1P[<-//|rr'] r'n.
apply: le_trans (inclusion_antitone qs sn _) (IH rr' (ltnW r'n)).
by rewrite (leq_trans r_gt0).
Qed.

(* Chebyshev's sum inequality for weights that sum to 0: the double sum of    *)
(* (a i - a j) (x i - x j), in which no term is negative, is 2 n sum a i x i. *)
Lemma chebyshev_sum n (a x : 'I_n -> rat) : \sum_i a i = 0 ->
  (forall i j, 0 <= (a i - a j) * (x i - x j)) -> 0 <= \sum_i a i * x i.
Proof.
case: n a x => [|n] a x a0 same; first by rewrite big_ord0.
have expand i j : (a i - a j) * (x i - x j)
                  = a i * x i + a j * x j - a i * x j - x i * a j.
  by rewrite mulrBl !mulrBr opprB [a j * x i]mulrC addrACA addrA.
have : 0 <= \sum_i \sum_j (a i - a j) * (x i - x j) by do 2!apply: sumr_ge0 => ? _.
under eq_bigr => i _.
  under eq_bigr do rewrite expand.
  rewrite !sumrB big_split /= sumr_const card_ord -!mulr_sumr a0 mulr0 subr0.
  over.
rewrite sumrB big_split /= sumr_const card_ord -mulr_suml a0 mul0r subr0.
by rewrite sumrMnl -mulr2n -mulrnA pmulrn_lge0.
Qed.

Lemma surrogate_weights_sum n s q : (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) = 0.
Proof.
move=> q_gt0 qs sn; have n_gt0 := leq_trans q_gt0 (leq_trans qs sn).
rewrite sumrB -mulr_suml -sum_ranks inclusion_sum // divff ?pnatr_eq0 -?lt0n //.
by rewrite sumr_const card_ord -mulr_natr mulVf ?subrr // pnatr_eq0 -lt0n.
Qed.

Theorem gap_nonneg : forall (n s q : nat) (x : 'I_n -> rat),
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall i j : 'I_n, (i <= j)%N -> x j <= x i) ->
  0 <= \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) * x j.
Proof.
move=> n s q x q_gt0 qs sn x_anti.
apply: chebyshev_sum (surrogate_weights_sum q_gt0 qs sn) _ => i j.
rewrite opprB addrA subrK -mulrBl mulrAC divr_ge0 ?ler0n //.
case: (leqP i j) => [ij|/ltnW ij].
  by apply: mulr_ge0; rewrite subr_ge0 ?x_anti ?gamma_antitone ?ltnS ?ij ?ltn_ord.
by apply: mulr_le0; rewrite subr_le0 ?x_anti ?gamma_antitone ?ltnS ?ij ?ltn_ord.
Qed.

(* ************************************************************************** *)
(* An unbiased rule: keep the top q1, add q2 uniform ones, reweight           *)
(* ************************************************************************** *)

(* Stage 1 keeps Q1 = top_by rho q1 S; stage 2 draws U, a set of q2 of the    *)
(* samples outside Q1. Sample i is in Q1 or in U with this probability.       *)
Definition keep_probability {n : nat} (s q1 q2 : nat) (rho : {perm 'I_n}) (i : 'I_n) :
    rat :=
  gamma n s q1 (rho i).+1
  + (1 - gamma n s q1 (rho i).+1) * (q2%:R / (n - q1)%:R).

Lemma mean_add (T : finType) (V : lmodType rat) (X : {set T}) (f f' : T -> V) :
  mean X (fun x => f x + f' x) = mean X f + mean X f'.
Proof. by rewrite /mean big_split scalerDr. Qed.

(* Given Q1, sample i is kept surely if it is in Q1, else with chance         *)
(* q2 / (n - q1).                                                             *)
Lemma Pr_second_stage n (Q : {set 'I_n}) q2 i : (q2 <= n - #|Q|)%N ->
  Pr (draws (~: Q) q2) (fun U => i \in Q :|: U)
  = (i \in Q)%:R + (1 - (i \in Q)%:R) * (q2%:R / (n - #|Q|)%:R).
Proof.
have cardQ : #|~: Q| = (n - #|Q|)%N by rewrite cardsCs setCK card_ord.
rewrite -cardQ => q2Q; case iQ: (i \in Q).
  rewrite subrr mul0r addr0 (@eq_Pr _ _ _ xpredT) => [|U _]; last by rewrite inE iQ.
  rewrite Pr_mean mean_const // card_draws_of bin_gt0 //.
rewrite subr0 mul1r add0r -(@Pr_draws _ _ _ i) ?inE ?iQ //.
by apply: eq_Pr => U _; rewrite inE iQ.
Qed.

Lemma mean_mixture (T : finType) (X : {set T}) (P : pred T) (c : rat) : (0 < #|X|)%N ->
  mean X (fun x => (P x)%:R + (1 - (P x)%:R) * c : rat^o) = Pr X P + (1 - Pr X P) * c.
Proof.
move=> X_gt0; have mix (b : rat) : b + (1 - b) * c = (1 - c) * b + c.
  by rewrite !mulrBl !mul1r [c * b]mulrC addrA addrAC.
pose f (x : T) : rat^o := (1 - c) *: ((P x)%:R : rat^o); pose f' (x : T) : rat^o := c.
rewrite (@eq_mean _ [lmodType rat of rat^o] _ _ (fun x => f x + f' x)); last first.
  by move=> x _; apply: mix.
by rewrite mean_add mean_const // mean_scale -Pr_mean mix.
Qed.

(* keep_probability is the probability of being kept in the two stages.       *)
Theorem keep_probability_correct : forall (n s q1 q2 : nat) (rho : {perm 'I_n})
    (i : 'I_n),
  (q1 <= s)%N -> (s <= n)%N -> (q2 <= n - q1)%N ->
  mean (candidates n s) (fun S =>
    Pr (draws (~: top_by rho q1 S) q2) (fun U => i \in top_by rho q1 S :|: U) : rat^o)
  = keep_probability s q1 q2 rho i.
Proof.
move=> n s q1 q2 rho i q1s sn q2n; rewrite /keep_probability -Pr_top_by //.
rewrite -mean_mixture ?card_candidates ?bin_gt0 //; apply: eq_mean => S.
rewrite in_drawsT => /eqP Ss.
have cardQ : #|top_by rho q1 S| = q1 by rewrite card_top_by ?Ss.
by rewrite Pr_second_stage cardQ.
Qed.

(* Both stages together: a sum over the kept samples has every sample in it   *)
(* as often as it is kept.                                                    *)
Lemma mean_two_stages n s q1 q2 (rho : {perm 'I_n}) (V : lmodType rat) (h : 'I_n -> V) :
  (q1 <= s)%N -> (s <= n)%N -> (q2 <= n - q1)%N ->
  mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    \sum_(i in top_by rho q1 S :|: U) h i))
  = \sum_i keep_probability s q1 q2 rho i *: h i.
Proof.
move=> q1s sn q2n.
under eq_mean => S _ do rewrite mean_random_sum.
rewrite mean_sum; apply: eq_bigr => i _.
by rewrite (@mean_scaler _ _ _ (fun S => Pr _ _)) keep_probability_correct.
Qed.

Lemma gamma_ge0 n s q r : 0 <= gamma n s q r.
Proof. by apply: sumr_ge0 => l _; rewrite divr_ge0 ?ler0n. Qed.

Lemma gamma_le1 n s q (j : 'I_n) : (q <= s)%N -> (s <= n)%N -> gamma n s q j.+1 <= 1.
Proof.
move=> qs sn; rewrite -inclusion_probability // /Pr.
have X_gt0 : 0 < #|candidates n s|%:R :> rat by rewrite ltr0n card_candidates bin_gt0.
rewrite ler_pdivr_mulr // mul1r ler_nat; apply: subset_leq_card.
by apply/subsetP => S; rewrite inE => /andP[].
Qed.

(* A second stage, however small, gives every sample a chance.                *)
Theorem keep_probability_gt0 (n s q1 q2 : nat) (rho : {perm 'I_n}) (i : 'I_n) :
  (q1 <= s)%N -> (s <= n)%N -> (0 < q2 <= n - q1)%N ->
  0 < keep_probability s q1 q2 rho i.
Proof.
move=> q1s sn /andP[q2_gt0 q2n]; rewrite /keep_probability.
have c_gt0 : 0 < q2%:R / (n - q1)%:R :> rat.
  by rewrite divr_gt0 ?ltr0n // (leq_trans q2_gt0).
case: (eqVneq (gamma n s q1 (rho i).+1) 0) => [->|g0].
  by rewrite subr0 mul1r add0r.
rewrite ltr_paddr ?lt0r ?g0 ?gamma_ge0 // mulr_ge0 ?(ltW c_gt0) //.
by rewrite subr_ge0 gamma_le1.
Qed.

(* Weighting each kept sample by one over n times its probability undoes the  *)
(* selection, whatever the ranking.                                           *)
Theorem horvitz_thompson_unbiased : forall (n s q1 q2 : nat) (rho : {perm 'I_n})
    (V : lmodType rat) (g : 'I_n -> V),
  (q1 <= s)%N -> (s <= n)%N -> (0 < q2 <= n - q1)%N ->
  mean (candidates n s) (fun S => mean (draws (~: top_by rho q1 S) q2) (fun U =>
    \sum_(i in top_by rho q1 S :|: U)
       (n%:R * keep_probability s q1 q2 rho i)^-1 *: g i))
  = n%:R^-1 *: \sum_(i < n) g i.
Proof.
move=> n s q1 q2 rho V g q1s sn q2n; have /andP[_ q2n'] := q2n.
rewrite mean_two_stages // scaler_sumr; apply: eq_bigr => i _.
by rewrite scalerA invfM mulrCA divff ?mulr1 // gt_eqF // keep_probability_gt0.
Qed.

(* ************************************************************************** *)
(* When the estimator is unbiased for the mean gradient after all             *)
(* ************************************************************************** *)

(* The condition: the gap's weights, applied to the gradients, give zero.     *)
Theorem unbiased_for_mean_iff : forall (n s q : nat) (V : lmodType rat) (g : 'I_n -> V),
  (q <= s)%N -> (s <= n)%N ->
  (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
   = n%:R^-1 *: (\sum_(i < n) g i))
  <-> (\sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) *: g j = 0).
Proof.
move=> n s q V g qs sn; rewrite unbiased // !scaler_sumr.
have -> : \sum_(j < n) (gamma n s q j.+1 / q%:R - n%:R^-1) *: g j
  = \sum_(j < n) q%:R^-1 *: (gamma n s q j.+1 *: g j) - \sum_(j < n) n%:R^-1 *: g j.
  by rewrite -sumrB; apply: eq_bigr => j _; rewrite scalerBl mulrC -scalerA.
by split=> [->|/eqP]; [rewrite subrr | rewrite subr_eq0 => /eqP].
Qed.

(* It holds for all gradients exactly for q = s, plain SGD on the candidates. *)
Theorem unbiased_for_all_iff_sgd : forall n s q : nat,
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
  (forall g : 'I_n -> rat^o,
     mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i)
     = n%:R^-1 *: \sum_(i < n) g i)
  <-> q = s.
Proof.
move=> n s q q_gt0 qs sn; split=> [all_g|->].
  apply/eqP; rewrite eqn_leq qs leqNgt; apply/negP => qs'.
  have n_gt0 : (0 < n)%N by apply: leq_trans q_gt0 (leq_trans qs sn).
  pose last := Ordinal (eq_leq (prednK n_gt0)).
  have /unbiased_for_mean_iff := all_g (fun i => (i == last)%:R); move=> /(_ qs sn).
  rewrite (bigD1 last) //= big1 => [|i /negPf->]; last by rewrite scaler0.
  rewrite eqxx addr0 [_ *: _]mulr1 prednK // (_ : gamma _ _ _ _ = 0).
    by move/eqP; rewrite mul0r sub0r oppr_eq0 invr_eq0 pnatr_eq0 eqn0Ngt n_gt0.
  apply/inclusion_support; rewrite ?n_gt0 ?leqnn // ltn_subrL subn_gt0 qs' //.
move=> g; apply/unbiased_for_mean_iff => //; rewrite big1 // => j _.
rewrite sgd_case ?ltn_ord // mulrAC divff ?mul1r ?subrr ?scale0r // pnatr_eq0 -lt0n.
exact: leq_trans q_gt0 qs.
Qed.

(* ************************************************************************** *)
(* Theorem 1 for subgradients                                                 *)
(* ************************************************************************** *)

Definition dot {d : nat} (v u : 'rV[rat]_d) : rat := \sum_(k < d) v 0 k * u 0 k.

(* v is a subgradient of f at t.                                              *)
Definition subgradient {d : nat} (f : 'rV[rat]_d -> rat) (t v : 'rV[rat]_d) : Prop :=
  forall u, f t + dot v (u - t) <= f u.

Definition convex {d : nat} (f : 'rV[rat]_d -> rat) : Prop :=
  forall (t u : 'rV[rat]_d) (a : rat), 0 <= a <= 1 ->
    f (a *: t + (1 - a) *: u) <= a * f t + (1 - a) * f u.

(* The surrogate loss at t, where rho is the ranking of the losses at t.      *)
Definition surrogate {n d : nat} (s q : nat) (rho : 'rV[rat]_d -> {perm 'I_n})
    (L : 'I_n -> 'rV[rat]_d -> rat) (t : 'rV[rat]_d) : rat :=
  q%:R^-1 * \sum_(i < n) gamma n s q (rho t i).+1 * L i t.

Lemma dotDr d (v u w : 'rV[rat]_d) : dot v (u + w) = dot v u + dot v w.
Proof. by rewrite /dot -big_split; apply: eq_bigr => k _; rewrite mxE mulrDr. Qed.

Lemma dotZr d a (v u : 'rV[rat]_d) : dot v (a *: u) = a * dot v u.
Proof. by rewrite /dot mulr_sumr; apply: eq_bigr => k _; rewrite mxE mulrCA. Qed.

Lemma dotC d (v u : 'rV[rat]_d) : dot v u = dot u v.
Proof. by apply: eq_bigr => k _; rewrite mulrC. Qed.

Lemma dot_suml d n (a : 'I_n -> rat) (v : 'I_n -> 'rV[rat]_d) u :
  dot (\sum_i a i *: v i) u = \sum_i a i * dot (v i) u.
Proof.
rewrite dotC (big_morph (dot u) (dotDr u) (_ : _ = 0)); last first.
  by rewrite /dot big1 // => k _; rewrite mxE mulr0.
by apply: eq_bigr => i _; rewrite dotZr dotC.
Qed.

(* Among the sets of as many candidates, the top ones have the largest sum:   *)
(* each element of A outside B is at least as large as each of B outside A.   *)
Lemma top_by_max n (rho : {perm 'I_n}) q (S B : {set 'I_n}) (x : 'I_n -> rat) :
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

Lemma mean_le (T : finType) (X : {set T}) (f f' : T -> rat^o) :
  (forall x, x \in X -> (f x : rat) <= f' x) -> (mean X f : rat) <= mean X f'.
Proof. by move=> ff'; rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum. Qed.

(* So ranking the losses by themselves makes the weighted sum largest.        *)
Lemma ranked_sum_max n s q (rho rho' : {perm 'I_n}) (x : 'I_n -> rat) :
  (q <= s)%N -> (s <= n)%N -> ranks rho x ->
  q%:R^-1 * (\sum_(i < n) gamma n s q (rho' i).+1 * x i)
  <= q%:R^-1 * (\sum_(i < n) gamma n s q (rho i).+1 * x i).
Proof.
move=> qs sn rho_x.
have := @unbiased_stale n s q _ [lmodType rat of rat^o] x qs sn => as_mean.
rewrite -[X in X <= _]as_mean -[X in _ <= X]as_mean; apply: mean_le => S.
rewrite in_drawsT => /eqP Ss; apply: ler_wpmul2l; first by rewrite invr_ge0 ler0n.
apply: top_by_max rho_x _ _; last by rewrite !card_top_by ?Ss.
by apply/subsetP => i; rewrite inE => /andP[].
Qed.

(* With fresh scores the expected gradient is a subgradient of the surrogate, *)
(* however ties are broken.                                                   *)
Theorem surrogate_subgradient : forall (n s q d : nat)
    (rho : 'rV[rat]_d -> {perm 'I_n}) (L : 'I_n -> 'rV[rat]_d -> rat)
    (t : 'rV[rat]_d) (g : 'I_n -> 'rV[rat]_d),
  (q <= s)%N -> (s <= n)%N ->
  (forall u, ranks (rho u) (fun i => L i u)) ->
  (forall i, subgradient (L i) t (g i)) ->
  subgradient (surrogate s q rho L) t
    (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by (rho t) q S) g i)).
Proof.
move=> n s q d rho L t g qs sn rho_L gL u; rewrite unbiased_stale //.
apply: le_trans (ranked_sum_max (rho t) qs sn (rho_L u)).
rewrite /surrogate dotC dotZr dotC dot_suml -mulrDr.
rewrite ler_wpmul2l ?invr_ge0 ?ler0n // -big_split /=.
apply: ler_sum => i _; rewrite -mulrDr ler_wpmul2l ?gamma_ge0 //; exact: gL.
Qed.

(* ************************************************************************** *)
(* Two printed claims that are false: Theorem 1 for stored scores, and        *)
(* "never a subgradient of the mean loss"                                     *)
(* ************************************************************************** *)

(* Affine losses: they are convex, and the slope is the subgradient.          *)
Lemma affine_convex d (v : 'rV[rat]_d) b : convex (fun t => dot v t + b).
Proof.
move=> t u a _; rewrite dotDr !dotZr !mulrDr addrACA -mulrDl.
by rewrite [a + _]addrC subrK mul1r.
Qed.

Lemma affine_subgradient d (v : 'rV[rat]_d) b t :
  subgradient (fun u => dot v u + b) t v.
Proof. by move=> u; rewrite addrAC -dotDr [t + _]addrC subrK. Qed.

Lemma subgradient_ext d (f f' : 'rV[rat]_d -> rat) t v :
  f =1 f' -> subgradient f t v -> subgradient f' t v.
Proof. by move=> eqf sub u; rewrite -!eqf. Qed.

(* With stored scores it need not be: n = s = 2, q = 1, losses t and -t, at   *)
(* t = 1 ranked by their values at t0 = -1. The surrogate is |t|, but the      *)
(* expected gradient -1.                                                      *)
Theorem stale_not_surrogate_subgradient :
  ~ (forall (n s q d : nat) (rho : 'rV[rat]_d -> {perm 'I_n})
       (L : 'I_n -> 'rV[rat]_d -> rat) (t0 t : 'rV[rat]_d) (g : 'I_n -> 'rV[rat]_d),
     (0 < q)%N -> (q <= s)%N -> (s <= n)%N ->
     (forall i, convex (L i)) ->
     (forall u, ranks (rho u) (fun i => L i u)) ->
     (forall i, subgradient (L i) t (g i)) ->
     subgradient (surrogate s q rho L) t
       (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top_by (rho t0) q S) g i))).
Proof.
move=> broken; pose slope (i : 'I_2) : rat := if i == 0 then 1 else -1.
pose w : 'rV[rat]_1 := const_mx 1; pose g i := slope i *: w.
pose L i (t : 'rV[rat]_1) := dot (g i) t + 0; pose swap : {perm 'I_2} := tperm 0 1.
pose rho (t : 'rV[rat]_1) : {perm 'I_2} := if 0 <= t 0 0 then 1%g else swap.
have two (i : 'I_2) : i = 0 \/ i = 1.
  by case: i => [[|[|m]] lt] //; [left | right]; apply: val_inj.
have dotg i t : dot (g i) t = slope i * t 0 0.
  by rewrite dotC dotZr dotC /dot big_ord1 mxE mul1r.
have LE i t : L i t = slope i * t 0 0 by rewrite /L addr0 dotg.
have weight1 : gamma 2 2 1 1 = 1 by rewrite inclusion_plateau // divff.
have weight2 : gamma 2 2 1 2 = 0 by apply/inclusion_support.
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
by rewrite scale0r invr1 !scale1r !(add0r, addr0) dotg !mxE.
Qed.

Lemma weights_3_2_1 :
  [/\ gamma 3 2 1 1 = 2%:R / 3%:R, gamma 3 2 1 2 = 1 / 3%:R & gamma 3 2 1 3 = 0].
Proof.
split; [exact: inclusion_plateau | | exact/inclusion_support].
by rewrite (gammaE (Ordinal (isT : 1 < 3)%N)) // big_ord1.
Qed.

(* With these weights and the losses t + 3, 2 t + 2 and t + 1, which are in   *)
(* descending order at t = 0, the expected gradient 2/3 * 1 + 1/3 * 2 = 4/3   *)
(* is the gradient of the mean loss.                                          *)
Theorem never_unbiased_is_false :
  ~ (forall (n s q d : nat) (L : 'I_n -> 'rV[rat]_d -> rat) (t : 'rV[rat]_d)
       (g : 'I_n -> 'rV[rat]_d),
     (0 < q)%N -> (q < s)%N -> (s < n)%N ->
     (forall i, convex (L i)) ->
     (forall i j : 'I_n, (i < j)%N -> L j t < L i t) ->
     (forall i, subgradient (L i) t (g i)) ->
     (forall i, g i != 0) ->
     ~ subgradient (fun u => n%:R^-1 * \sum_(i < n) L i u) t
         (mean (candidates n s) (fun S => q%:R^-1 *: \sum_(i in top q S) g i))).
Proof.
move=> never; pose slope (i : 'I_3) : rat := if i == 1 then 2%:R else 1.
pose g i : 'rV[rat]_1 := slope i *: const_mx 1.
pose L i (t : 'rV[rat]_1) := dot (g i) t + (3 - i)%:R.
have slope0 i : slope i != 0 by rewrite /slope; case: ifP.
apply: (never 3%N 2%N 1%N 1%N L 0 g) => //.
- by move=> i; apply: affine_convex.
- move=> i j ij; rewrite /L -(scale0r (0 : 'rV_1)) !dotZr !mul0r !add0r.
  by rewrite ltr_nat ltn_sub2l ?ltn_ord.
- by move=> i; apply: affine_subgradient.
- move=> i; rewrite scaler_eq0 negb_or slope0 /=; apply/eqP => /rowP/(_ 0).
  by rewrite !mxE.
have [weight1 weight2 weight3] := weights_3_2_1.
have /unbiased_for_mean_iff-> // :
  \sum_(j < 3) (gamma 3 2 1 j.+1 / 1%:R - 3%:R^-1) *: g j = 0.
  under eq_bigr do rewrite /g scalerA.
  rewrite -scaler_suml !big_ord_recl big_ord0 /= weight1 weight2 weight3.
  by rewrite [X in X *: _](_ : _ = 0) ?scale0r //; apply/eqP.
apply: subgradient_ext (affine_subgradient _ (3%:R^-1 * \sum_(i < 3) (3 - i)%:R) 0).
move=> u /=; rewrite /L big_split /= mulrDr dotC dotZr dotC.
congr (_ * _ + _); rewrite /g dot_suml; apply: eq_bigr => i _.
by rewrite [RHS]dotC dotZr dotC.
Qed.
