(* Inclusion probabilities: how often rank r is kept. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The paper's weight of rank r = 1, ..., n, with its summation limits.       *)
Definition gamma {R : realFieldType} (n s q r : nat) : R :=
  \sum_(maxn 1 (s + r - n) <= l < (minn q r).+1)
    ('C(r - 1, l - 1) * 'C(n - r, s - l))%:R / 'C(n, s)%:R.

(* P(Y = m) when d items are drawn from N of which K are marked and Y counts  *)
(* the marked ones drawn.                                                     *)
Definition hypergeometric {R : realFieldType} (N K d m : nat) : R :=
  if (m <= d)%N then ('C(K, m) * 'C(N - K, d - m))%:R / 'C(N, d)%:R else 0.

(* Of all samples, the first K marked, a draw of d has m marked ones with this *)
(* probability.                                                               *)
Theorem hypergeometric_correct {R : realFieldType} (N K d m : nat) : (K <= N)%N ->
  Pr (candidates N d) (fun S => #|[set i in S | (i < K)%N]| == m)
  = hypergeometric N K d m :> R.
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

(* The paper's summation limits only leave out terms that are zero.           *)
Theorem gamma_all_terms {R : realFieldType} (n s q r : nat) : (1 <= r <= n)%N ->
  (q <= s)%N ->
  gamma n s q r =
  \sum_(1 <= l < q.+1) ('C(r - 1, l - 1) * 'C(n - r, s - l))%:R / 'C(n, s)%:R :> R.
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

Lemma gamma_q0 {R : realFieldType} n s r : gamma n s 0 r = 0 :> R.
Proof. by rewrite /gamma min0n big_geq // leq_maxl. Qed.

Lemma gammaE {R : realFieldType} n s q (j : 'I_n) : (q <= s)%N -> gamma n s q j.+1 =
  (\sum_(l < q) 'C(j, l) * 'C(n - j.+1, s - l.+1))%:R / 'C(n, s)%:R :> R.
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

Theorem inclusion_probability {R : realFieldType} : forall (n s q : nat) (j : 'I_n),
  (q <= s)%N -> (s <= n)%N ->
  Pr (candidates n s) (fun S => j \in top q S) = gamma n s q j.+1 :> R.
Proof.
by move=> n s q j qs sn; rewrite /Pr card_keeping // gammaE // card_candidates.
Qed.

(* The same by place for an arbitrary ranking: rename the samples.            *)
Lemma Pr_top_by {R : realFieldType} n s q (rho : {perm 'I_n}) i : (q <= s)%N ->
  (s <= n)%N ->
  Pr (candidates n s) (fun S => i \in top_by rho q S) = gamma n s q (rho i).+1 :> R.
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

(* Nor does it matter in which order the ranks are taken.                     *)
Lemma sum_by n (V : zmodType) (rho : {perm 'I_n}) (f : nat -> V) :
  \sum_(i < n) f (rho i) = \sum_(i < n) f i.
Proof. by rewrite [RHS](reindex_inj (@perm_inj _ rho)). Qed.

(* Exactly q samples are kept, so the probabilities of being kept add up to q.*)
Theorem inclusion_sum {R : realFieldType} :
  forall n s q : nat, (q <= s)%N -> (s <= n)%N ->
  \sum_(1 <= r < n.+1) gamma n s q r = q%:R :> R.
Proof.
move=> n s q qs sn; rewrite sum_ranks.
transitivity (\sum_j Pr (candidates n s) (fun S => j \in top q S) *: (1 : R^o)).
  by apply: eq_bigr => j _; rewrite inclusion_probability // [_ *: _]mulr1.
rewrite -mean_random_sum (@eq_mean _ _ _ _ _ (fun=> q%:R)); last first.
  by move=> S; rewrite in_drawsT => /eqP Ss; rewrite sumr_const card_top ?Ss.
by apply: (@mean_const _ _ [lmodType R of R^o]); rewrite card_candidates bin_gt0.
Qed.

Lemma inclusion_sum_by {R : realFieldType} n s q (rho : {perm 'I_n}) :
  (q <= s)%N -> (s <= n)%N -> \sum_(i < n) gamma n s q (rho i).+1 = q%:R :> R.
Proof.
by move=> qs sn; rewrite (sum_by rho (fun j => gamma n s q j.+1)) -sum_ranks inclusion_sum.
Qed.

Lemma gamma_ge0 {R : realFieldType} n s q r : 0 <= gamma n s q r :> R.
Proof. by apply: sumr_ge0 => l _; rewrite divr_ge0 ?ler0n. Qed.

Lemma gamma_le1 {R : realFieldType} n s q (j : 'I_n) : (q <= s)%N -> (s <= n)%N ->
  gamma n s q j.+1 <= 1 :> R.
Proof.
move=> qs sn; rewrite -inclusion_probability // /Pr.
have X_gt0 : 0 < #|candidates n s|%:R :> R by rewrite ltr0n card_candidates bin_gt0.
rewrite ler_pdivr_mulr // mul1r ler_nat; apply: subset_leq_card.
by apply/subsetP => S; rewrite inE => /andP[].
Qed.

(* A sample is a candidate with probability s/n.                              *)
Lemma Pr_candidate {R : realFieldType} n s (j : 'I_n) : (s <= n)%N ->
  Pr (candidates n s) (fun S => j \in S) = s%:R / n%:R :> R.
Proof. by move=> sn; rewrite Pr_draws ?cardsT ?card_ord. Qed.

(* As a candidate, rank r is kept if fewer than q of the other s - 1 are      *)
(* among the r - 1 samples before it.                                         *)
Theorem inclusion_hypergeometric {R : realFieldType} : forall n s q r : nat,
  (q <= s)%N -> (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s q r
  = s%:R / n%:R * \sum_(l < q) hypergeometric (n - 1) (r - 1) (s - 1) l :> R.
Proof.
move=> [|n] s q [//|r] qs sn /= rn; first by [].
rewrite (gammaE (Ordinal rn)) // natr_sum mulr_suml mulr_sumr; apply: eq_bigr => l _.
have ls := leq_trans (ltn_ord l) qs; case: s ls qs sn => [//|s] ls qs sn.
rewrite /hypergeometric !subn1 /= -ltnS ls !subSS mulrCA; congr (_ * _).
have /= diag := mul_bin_diag n.+1 s; rewrite -mulrA -invfM -natrM diag natrM invfM.
by rewrite mulrA divff ?mul1r // pnatr_eq0.
Qed.

(* Each of the first q ranks is kept whenever it is a candidate.              *)
Theorem inclusion_plateau {R : realFieldType} :
  forall n s q r : nat, (q <= s)%N -> (s <= n)%N ->
  (1 <= r <= q)%N -> gamma n s q r = s%:R / n%:R :> R.
Proof.
move=> n s q [//|j] qs sn /= jq.
have jn : (j < n)%N by apply: leq_trans jq (leq_trans qs sn).
rewrite -(Pr_candidate (Ordinal jn) sn) -(inclusion_probability (Ordinal jn) qs sn).
apply: eq_Pr => S _; rewrite inE; case: (_ \in S) => //=; apply: leq_trans jq.
rewrite ltnS -[X in (_ <= X)%N](card_below (ltnW jn)).
by apply: subset_leq_card; apply/subsetP => k; rewrite !inE => /andP[].
Qed.

(* q = s keeps every candidate.                                               *)
Theorem sgd_case {R : realFieldType} :
  forall n s r : nat, (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s s r = s%:R / n%:R :> R.
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

Theorem inclusion_step {R : realFieldType} (n s q r : nat) :
  (0 < q < s)%N -> (s <= n)%N -> (1 <= r < n)%N ->
  gamma n s q r
  = gamma n s q r.+1
    + ('C(r - 1, q - 1) * 'C(n - r - 1, s - q - 1))%:R / 'C(n, s)%:R :> R.
Proof.
case: q r => [//|q] [//|j] /= qs sn jn.
rewrite (gammaE (Ordinal (ltnW jn))) 1?ltnW // (gammaE (Ordinal jn)) 1?ltnW //=.
rewrite -mulrDl -natrD.
congr (_%:R / _); rewrite !subn1 /= -!subnS.
by rewrite -(subnSK jn) (keeping_step _ _ qs).
Qed.

Theorem inclusion_antitone {R : realFieldType} :
  forall n s q r : nat, (q <= s)%N -> (s <= n)%N ->
  (1 <= r < n)%N -> gamma n s q r.+1 <= gamma n s q r :> R.
Proof.
move=> n s q r qs sn /andP[r_gt0 rn].
case: (posnP q) => [->|q_gt0].
  by rewrite !gamma_q0.
move: qs; rewrite leq_eqVlt => /predU1P[->|qs].
  by rewrite !sgd_case // ?r_gt0 ltnW.
by rewrite (@inclusion_step _ _ _ _ r) ?q_gt0 ?r_gt0 // ler_addl divr_ge0 ?ler0n.
Qed.

Lemma gamma_antitone {R : realFieldType} n s q r r' : (q <= s)%N -> (s <= n)%N ->
  (0 < r)%N -> (r <= r' <= n)%N -> gamma n s q r' <= gamma n s q r :> R.
Proof.
move=> qs sn r_gt0 /andP[]; elim: r' => [|r' IH]; first by rewrite leqn0 => /eqP->.
rewrite leq_eqVlt => /predU1P[<-//|rr'] r'n.
apply: le_trans (inclusion_antitone qs sn _) (IH rr' (ltnW r'n)).
by rewrite (leq_trans r_gt0).
Qed.

Lemma gamma_eq0 {R : realFieldType} n s q (j : 'I_n) : (q <= s)%N -> (s <= n)%N ->
  (gamma n s q j.+1 == 0 :> R)
  = [forall l : 'I_q, 'C(j, l) * 'C(n - j.+1, s - l.+1) == 0]%N.
Proof.
move=> qs sn; rewrite gammaE // mulf_eq0 invr_eq0 !pnatr_eq0.
by rewrite [X in _ || X]eqn0Ngt bin_gt0 sn orbF sum_nat_eq0.
Qed.

(* Rank r can have q - 1 or fewer candidates before it unless too few samples *)
(* are left after it: the last s - q ranks are never kept.                    *)
Theorem inclusion_support {R : realFieldType} : forall n s q r : nat,
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (1 <= r <= n)%N ->
  gamma n s q r = 0 :> R <-> (n - (s - q) < r)%N.
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
Theorem joint_inclusion {R : realFieldType} : forall (n s q : nat) (j k : 'I_n),
  (q <= s)%N -> (s <= n)%N -> (j < k)%N ->
  Pr (candidates n s) (fun S => (j \in top q S) && (k \in top q S))
  = 'C(n - 2, s - 2)%:R / 'C(n, s)%:R
    * \sum_(m < q - 1) hypergeometric (n - 2) (k.+1 - 2) (s - 2) m :> R.
Proof.
move=> n s q j k qs sn jk; rewrite /Pr card_keeping_both // card_candidates.
rewrite natr_sum mulr_suml mulr_sumr; apply: eq_bigr => m _.
have ms : (2 + m <= s)%N by have := ltn_ord m; rewrite ltn_subRL => /leq_trans->.
rewrite /hypergeometric (_ : (m <= s - 2)%N = true) ?leq_subRL ?ms ?(leq_trans _ ms) //.
have -> : (n - 2 - (k.+1 - 2) = n - k.+1)%N.
  by rewrite -subnDA subnKC // ltnS (leq_ltn_trans (leq0n j) jk).
by rewrite [RHS]mulrC mulrA divfK // pnatr_eq0 -lt0n bin_gt0 leq_sub2r.
Qed.
