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
Definition Pr (T : finType) (X : {set T}) (P : pred T) : rat :=
  #|[set x in X | P x]|%:R / #|X|%:R.

Definition mean (T : finType) (V : lmodType rat) (X : {set T}) (f : T -> V) : V :=
  #|X|%:R^-1 *: \sum_(x in X) f x.

(* The candidate sets: all subsets of s samples out of n.                     *)
Definition candidates (n s : nat) : {set {set 'I_n}} := draws [set: 'I_n] s.

(* Q(S): the elements of S with fewer than q elements of S before them, where *)
(* the samples 0, 1, ..., n - 1 are in descending order of score.             *)
Definition top (n q : nat) (S : {set 'I_n}) : {set 'I_n} :=
  [set i in S | (#|[set k in S | (k < i)%N]| < q)%N].

(* The same when sample i has place rho i in the descending order of score.   *)
Definition top_by (n : nat) (rho : {perm 'I_n}) (q : nat) (S : {set 'I_n}) :
    {set 'I_n} :=
  [set i in S | (#|[set k in S | (rho k < rho i)%N]| < q)%N].

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
move=> mn; rewrite -sum1_card -[RHS]card_ord -sum1_card (big_ord_widen _ (fun=> 1%N) mn).
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
Lemma card_top_by n (rho : {perm 'I_n}) q (S : {set 'I_n}) :
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
Lemma top_by_before n (rho : {perm 'I_n}) q (S : {set 'I_n}) i k :
  i \in top_by rho q S -> k \in S -> k \notin top_by rho q S -> (rho i < rho k)%N.
Proof.
rewrite !inE => /andP[iS iq] -> /=; rewrite -leqNgt => qk.
rewrite ltnNge; apply/negP => ki; have := leq_trans iq qk; rewrite ltnNge.
move=> /negP; apply; apply: subset_leq_card; apply/subsetP => x; rewrite !inE.
by move=> /andP[-> /leq_trans->].
Qed.

(* Every score vector has a ranking: a permutation that sorts it downwards.   *)
Lemma ranking_exists n (score : 'I_n -> rat) : exists rho : {perm 'I_n},
  forall i k, (rho i < rho k)%N -> score k <= score i.
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

(* ************************************************************************** *)
(* Expectations of sums over a random set                                     *)
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
Lemma gamma_all_terms n s q r : (1 <= r <= n)%N -> (q <= s)%N ->
  gamma n s q r =
  \sum_(1 <= l < q.+1) ('C(r - 1, l - 1) * 'C(n - r, s - l))%:R / 'C(n, s)%:R.
Proof.
move=> /andP[r_gt0 rn] qs; rewrite /gamma (@big_nat_widenl _ _ _ _ 1) ?leq_maxl //.
rewrite (@big_nat_widen _ _ _ _ _ q.+1) ?ltnS ?geq_minl // big_mkcond /=.
apply: eq_big_nat => l /andP[l_gt0 lq]; case: ifPn => //.
rewrite geq_max l_gt0 ltnS leq_min -[(l <= q)%N]ltnS lq /= negb_and -!ltnNge.
move=> out.
rewrite (_ : ('C(_, _) * _)%N = 0%N) ?mul0r //; apply/eqP; rewrite muln_eq0.
case/orP: out => out; last by rewrite bin_small // ltn_sub2r // (leq_ltn_trans r_gt0 out).
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
Proof. by move=> n s q j qs sn; rewrite /Pr card_keeping // gammaE // card_candidates. Qed.

(* The same by place for an arbitrary ranking: rename the samples.            *)
Lemma Pr_top_by n s q (rho : {perm 'I_n}) i : (q <= s)%N -> (s <= n)%N ->
  Pr (candidates n s) (fun S => i \in top_by rho q S) = gamma n s q (rho i).+1.
Proof.
move=> qs sn; rewrite -inclusion_probability // /Pr; congr (_%:R / _).
rewrite -[RHS](card_preimset _ (imset_inj (@perm_inj _ rho))).
apply: eq_card => S; rewrite inE mem_top_by !inE !subsetT.
by rewrite (card_imset _ (@perm_inj _ rho)).
Qed.

(* A sum over ranks is a sum over samples, in any order.                      *)
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

(* Each of the first q ranks is kept whenever it is a candidate.              *)
Theorem inclusion_plateau : forall n s q r : nat, (q <= s)%N -> (s <= n)%N ->
  (1 <= r <= q)%N -> gamma n s q r = s%:R / n%:R.
Proof.
move=> n s q [//|j] qs sn /= jq; have jn : (j < n)%N by apply: leq_trans jq (leq_trans qs sn).
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
rewrite -(Pr_candidate (Ordinal jn) sn) -(inclusion_probability (Ordinal jn) (leqnn s) sn).
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
have pascal m : (m.+1 < s)%N -> 'C(N.+1, s - m.+1) = ('C(N, s - m.+1) + 'C(N, s - m.+2))%N.
  by move=> ms; rewrite -(subnSK ms) binS.
elim: q => [|q IH] qs; first by rewrite !big_ord1 !bin0 !mul1n pascal.
rewrite big_ord_recr IH 1?(ltnW qs) //= [in RHS]big_ord_recr /= pascal // binS.
by rewrite mulnDl mulnDr -!addnA; congr addn; rewrite addnCA.
Qed.

Lemma gamma_step n s q r : (0 < q < s)%N -> (s <= n)%N -> (1 <= r < n)%N ->
  gamma n s q r
  = gamma n s q r.+1 + ('C(r - 1, q - 1) * 'C(n - r - 1, s - q - 1))%:R / 'C(n, s)%:R.
Proof.
case: q r => [//|q] [//|j] /= qs sn jn.
rewrite (gammaE (Ordinal (ltnW jn))) 1?ltnW // (gammaE (Ordinal jn)) 1?ltnW //= -mulrDl -natrD.
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
by rewrite (@gamma_step _ _ _ r) ?q_gt0 ?r_gt0 // ler_addl divr_ge0 ?ler0n.
Qed.
