(* Sequences of independent draws: the tower rule, and a process that loses   *)
(* in expectation at every draw.                                              *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Expectation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The outcomes of k independent uniform draws from X: all sequences.         *)
Definition sequences {T : finType} (X : {set T}) (k : nat) : {set k.-tuple T} :=
  [set c : k.-tuple T | all (mem X) c].

Lemma big_sequences0 (V : zmodType) (T : finType) (X : {set T}) (f : seq T -> V) :
  \sum_(c in sequences X 0) f c = f [::].
Proof.
rewrite (big_pred1 [tuple]) // => c; rewrite inE; apply/idP/eqP => [_|-> //].
exact: tuple0.
Qed.

Lemma big_sequences_cons (V : zmodType) (T : finType) (X : {set T}) k (f : seq T -> V) :
  \sum_(c in sequences X k.+1) f c = \sum_(x in X) \sum_(c in sequences X k) f (x :: c).
Proof.
rewrite pair_big_dep /=.
rewrite (reindex (fun p : T * k.-tuple T => [tuple of p.1 :: p.2])) /=.
  by apply: eq_bigl => -[x c]; rewrite !inE.
exists (fun c => (thead c, [tuple of behead c])) => [[x c] _|c _] /=.
  by congr (_, _); apply: val_inj.
by rewrite [RHS]tuple_eta; apply: val_inj.
Qed.

Lemma big_sequences (V : zmodType) (T : finType) (X : {set T}) k (f : seq T -> V) :
  \sum_(c in sequences X k.+1) f c = \sum_(c in sequences X k) \sum_(x in X) f (rcons c x).
Proof.
pose last f (c : seq T) := \sum_(x in X) f (rcons c x) : V.
elim: k f => [|k IH] f; rewrite big_sequences_cons.
  rewrite (big_sequences0 X (last f)).
  by apply: eq_bigr => x _; rewrite (big_sequences0 X (fun c => f (x :: c))).
rewrite (big_sequences_cons X k (last f)); apply: eq_bigr => x _.
exact: IH (fun c => f (x :: c)).
Qed.

Lemma card_sequences {R : realFieldType} (T : finType) (X : {set T}) k :
  #|sequences X k|%:R = #|X|%:R ^+ k :> R.
Proof.
rewrite -sum1_card natr_sum; elim: k => [|k IH].
  by rewrite (@big_sequences0 _ T X (fun=> 1)).
by rewrite (big_sequences_cons X k (fun=> 1)) /= IH sumr_const exprSr mulr_natr.
Qed.

Lemma sequences_gt0 (T : finType) (X : {set T}) k : (0 < #|X|)%N -> (0 < #|sequences X k|)%N.
Proof.
by move=> X_gt0; rewrite -(ltr0n [realFieldType of rat]) card_sequences exprn_gt0 ?ltr0n.
Qed.

(* The tower rule: draw the last one after the others.                        *)
Lemma mean_sequences {R : realFieldType} (V : lmodType R) (T : finType) (X : {set T}) k
    (f : seq T -> V) :
  mean (sequences X k.+1) f = mean (sequences X k) (fun c => mean X (fun x => f (rcons c x))).
Proof.
by rewrite /mean big_sequences -scaler_sumr scalerA !card_sequences exprS invfM mulrC.
Qed.

Lemma mean_sequences0 {R : realFieldType} (V : lmodType R) (T : finType) (X : {set T})
    (f : seq T -> V) :
  mean (sequences X 0) f = f [::].
Proof. by rewrite /mean card_sequences invr1 scale1r big_sequences0. Qed.

(* What depends on the first t draws has the same mean over longer sequences. *)
Lemma mean_take {R : realFieldType} (V : lmodType R) (T : finType) (X : {set T}) t k
    (f : seq T -> V) :
  (0 < #|X|)%N -> (t <= k)%N ->
  mean (sequences X k) (fun c => f (take t c)) = mean (sequences X t) f.
Proof.
move=> X_gt0; elim: k => [|k IH].
  by rewrite leqn0 => /eqP->; rewrite !(mean_sequences0 X (fun c => f (take 0 c))) mean_sequences0.
rewrite leq_eqVlt => /predU1P[->|tk].
  by apply: eq_mean => c _; rewrite take_oversize ?size_tuple ?leqnn.
rewrite -(IH tk) (mean_sequences X k (fun c => f (take t c))); apply: eq_mean => c _.
rewrite -[RHS](mean_const _ X_gt0); apply: eq_mean => x _.
by rewrite -cats1 takel_cat ?size_tuple.
Qed.

(* If at every draw v falls in expectation by what e charges, up to b, then   *)
(* the expected charges add up to at most the first v and all b.              *)
Lemma expected_descent {R : realFieldType} (T : finType) (X : {set T}) (v e : seq T -> R^o)
    (b : nat -> R) k :
  (0 < #|X|)%N ->
  (forall past, (mean X (fun x => v (rcons past x)) : R) <= v past - e past + b (size past)) ->
  \sum_(t < k) (mean (sequences X k) (fun c => e (take t c)) : R)
  + mean (sequences X k) v <= v [::] + \sum_(t < k) b t.
Proof.
move=> X_gt0 step.
have -> : \sum_(t < k) (mean (sequences X k) (fun c => e (take t c)) : R)
          = \sum_(t < k) (mean (sequences X t) e : R).
  by apply: eq_bigr => t _; apply: (@mean_take R [lmodType R of R^o]); rewrite // ltnW.
elim: k => [|k IH]; first by rewrite !big_ord0 add0r addr0 mean_sequences0.
rewrite !big_ord_recr /= addrA; apply: le_trans (ler_add IH (lexx (b k))).
rewrite -!addrA ler_add2l mean_sequences.
pose f (c : seq T) : R^o := v c - e c + b k.
apply: (@le_trans _ _ (mean (sequences X k) e + mean (sequences X k) f)).
  rewrite ler_add2l; apply: mean_le => c _.
  by have := step c; rewrite size_tuple.
rewrite -mean_add; pose bk (c : k.-tuple T) : R^o := b k.
rewrite (@eq_mean _ _ _ _ _ (fun c : k.-tuple T => v c + bk c)) => [|c _].
  by rewrite mean_add mean_const ?sequences_gt0.
by rewrite /f addrA [e c + _]addrC subrK.
Qed.
