(* Finite expectations: probability and mean for a uniform draw, linearity,   *)
(* Jensen's inequality, the tower rule, and independent draws.                *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Convex.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Probability of P and expectation of f, for x uniform on the finite set X.  *)
Definition Pr {R : realFieldType} {T : finType} (X : {set T}) (P : pred T) : R :=
  #|[set x in X | P x]|%:R / #|X|%:R.

Definition mean {R : realFieldType} {T : finType} {V : lmodType R} (X : {set T})
    (f : T -> V) : V :=
  #|X|%:R^-1 *: \sum_(x in X) f x.

Lemma eq_Pr {R : realFieldType} (T : finType) (X : {set T}) (P P' : pred T) :
  {in X, P =1 P'} -> Pr X P = Pr X P' :> R.
Proof.
move=> eqP; rewrite /Pr; congr (_%:R / _); apply: eq_card => x.
by rewrite !inE; case xX: (x \in X); rewrite //= eqP.
Qed.

Lemma eq_mean {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f f' : T -> V) :
  {in X, f =1 f'} -> mean X f = mean X f'.
Proof. by move=> eqf; rewrite /mean (eq_bigr f'). Qed.

Lemma mean_const {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (v : V) :
  (0 < #|X|)%N -> mean X (fun=> v) = v.
Proof.
move=> X_gt0; rewrite /mean sumr_const -scaler_nat scalerA mulVf ?scale1r //.
by rewrite pnatr_eq0 -lt0n.
Qed.

Lemma mean_le {R : realFieldType} (T : finType) (X : {set T}) (f f' : T -> R^o) :
  (forall x, x \in X -> (f x : R) <= f' x) -> (mean X f : R) <= mean X f'.
Proof. by move=> ff'; rewrite ler_wpmul2l ?invr_ge0 ?ler0n //; apply: ler_sum. Qed.

Lemma mean_add {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f f' : T -> V) :
  mean X (fun x => f x + f' x) = mean X f + mean X f'.
Proof. by rewrite /mean big_split scalerDr. Qed.

Lemma mean_sum {R : realFieldType} (T I : finType) (V : lmodType R) (X : {set T})
    (P : pred I) (f : T -> I -> V) :
  mean X (fun x => \sum_(i | P i) f x i) = \sum_(i | P i) mean X (f ^~ i).
Proof. by rewrite /mean exchange_big scaler_sumr. Qed.

Lemma mean_scale {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (a : R) (f : T -> V) :
  mean X (fun x => a *: f x) = a *: mean X f.
Proof. by rewrite /mean -scaler_sumr !scalerA mulrC. Qed.

Lemma mean_scaler {R : realFieldType} (T : finType) (V : lmodType R) (X : {set T})
    (f : T -> R^o) v :
  mean X (fun x => f x *: v : V) = mean X f *: v.
Proof. by rewrite /mean -scaler_suml scalerA. Qed.

Lemma mean_scaleR {R : realFieldType} (T : finType) (X : {set T}) (a : R) (f : T -> R^o) :
  mean X (fun x => a * f x : R^o) = a * mean X f.
Proof. exact: (@mean_scale R _ [lmodType R of R^o]). Qed.

Lemma mean_affine {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R^o) (a b c : R) :
  (0 < #|X|)%N -> mean X (fun x => a - b * f x + c : R^o) = a - b * mean X f + c.
Proof.
move=> X_gt0; pose k (x : T) : R^o := a + c; pose h (x : T) : R^o := - b *: f x.
rewrite (@eq_mean _ _ _ _ _ (fun x => k x + h x)) => [|x _].
  by rewrite mean_add mean_const // mean_scale /k addrAC [- b *: _]mulNr.
by rewrite /k /h addrAC [- b *: _]mulNr.
Qed.

Lemma dot_mean {R : realFieldType} d (T : finType) (X : {set T}) (v : T -> 'rV[R]_d) u :
  dot (mean X v) u = mean X (fun x => dot (v x) u : R^o).
Proof. by rewrite /mean dotZl dot_sum. Qed.

Lemma mean_all {R : realFieldType} (V : lmodType R) (T : finType) (f : T -> V) :
  mean [set: T] f = #|T|%:R^-1 *: \sum_x f x.
Proof. by rewrite /mean cardsT; congr (_ *: _); apply: eq_bigl => x; rewrite inE. Qed.

Lemma mean_sub {R : realFieldType} (T : finType) (X : {set T}) (f h : T -> R^o) :
  mean X (fun x => f x - h x : R^o) = (mean X f : R) - mean X h.
Proof. by rewrite /mean sumrB scalerBr. Qed.

Lemma mean_exchange {R : realFieldType} (T U : finType) (X : {set T}) (Y : {set U})
    (f : T -> U -> R^o) :
  mean X (fun x => mean Y (f x)) = mean Y (fun y => mean X (f ^~ y)).
Proof. by rewrite /mean -!scaler_sumr exchange_big !scalerA mulrC. Qed.

Lemma Pr_mean {R : realFieldType} (T : finType) (X : {set T}) (P : pred T) :
  Pr X P = mean X (fun x => (P x)%:R : R^o).
Proof.
rewrite /mean /Pr -sum1_card natr_sum big_mkcond /= /GRing.scale /= mulrC.
congr (_ * _); rewrite [RHS]big_mkcond; apply: eq_bigr => x _.
by rewrite inE; case: (x \in X) => //=; case: (P x).
Qed.

(* The plain average over the samples.                                        *)
Definition average {R : realFieldType} {n : nat} (x : 'I_n -> R) : R :=
  n%:R^-1 * \sum_(i < n) x i.

Lemma mean_average {R : realFieldType} (T : finType) (X : {set T}) n (f : T -> 'I_n -> R) :
  (mean X (fun x => average (f x) : R^o) : R) = average (fun i => mean X (fun x => f x i : R^o)).
Proof. by rewrite /average mean_scaleR (@mean_sum R _ _ [lmodType R of R^o]). Qed.

(* The mean of a sum over a random set: each term counts as often as its      *)
(* index is in the set.                                                       *)
Lemma mean_random_sum {R : realFieldType} (T I : finType) (V : lmodType R) (X : {set T})
    (Q : T -> {set I}) (g : I -> V) :
  mean X (fun x => \sum_(i in Q x) g i) = \sum_i Pr X (fun x => i \in Q x) *: g i.
Proof.
under eq_bigr do rewrite Pr_mean -mean_scaler.
rewrite -mean_sum; apply: eq_mean => x _; rewrite big_mkcond /=.
by apply: eq_bigr => i _; case: (_ \in _); rewrite ?scale1r ?scale0r.
Qed.

(* The mean squared distance from c: the variance plus the square of the bias.*)
Lemma mean_sqr {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) (c : R) :
  (0 < #|X|)%N -> let m : R := mean X (f : T -> R^o) in
  (mean X (fun x => (f x - c) ^+ 2 : R^o) : R)
  = (mean X (fun x => (f x - m) ^+ 2 : R^o) : R) + (m - c) ^+ 2.
Proof.
move=> X_gt0 m; pose sq (x : T) : R^o := (f x - m) ^+ 2.
pose cross (x : T) : R^o := ((m - c) *+ 2) *: (f x + - m : R^o).
pose rest (x : T) : R^o := (m - c) ^+ 2; pose shift (x : T) : R^o := - m.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => sq x + cross x + rest x)).
  rewrite 2!mean_add mean_scale (@mean_add R _ [lmodType R of R^o] X f shift) !mean_const // -/m.
  by rewrite /shift subrr scaler0 addr0.
move=> x _; rewrite /sq /cross /rest /GRing.scale /= -[f x - c](subrKA m) sqrrD.
by rewrite -mulrnAr [(m - c) *+ 2 * _]mulrC.
Qed.

(* Jensen's inequality for the square.                                        *)
Lemma mean_sqr_ge {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) :
  (0 < #|X|)%N ->
  (mean X (f : T -> R^o) : R) ^+ 2 <= (mean X (fun x => f x ^+ 2 : R^o) : R).
Proof.
move=> X_gt0; have := mean_sqr f 0 X_gt0; rewrite /= subr0.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => f x ^+ 2)) => [->|x _].
  by rewrite ler_addr mulr_ge0 ?invr_ge0 ?ler0n //; apply: sumr_ge0 => x _; apply: sqr_ge0.
by rewrite subr0.
Qed.

(* Jensen's inequality for a finite weighted average.                         *)
Lemma jensen {R : realFieldType} d (f : 'rV[R]_d -> R) (a : nat -> R) (x : nat -> 'rV[R]_d) T :
  convex f -> (0 < T)%N -> (forall t, 0 < a t) ->
  f ((\sum_(t < T) a t)^-1 *: \sum_(t < T) a t *: x t)
  <= (\sum_(t < T) a t)^-1 * \sum_(t < T) a t * f (x t).
Proof.
move=> cf + a_gt0; case: T => // T _; elim: T => [|T IH].
  by rewrite !big_ord1 scalerA mulrA mulVf ?gt_eqF ?scale1r ?mul1r.
rewrite !(big_ord_recr T.+1) /=.
set A := \sum_(t < T.+1) a t in IH *; set b := a T.+1.
have A_gt0 : 0 < A.
  by rewrite /A big_ord_recr /=; apply: ltr_paddl (a_gt0 T); apply: sumr_ge0 => t _; apply: ltW.
have b_gt0 : 0 < b by apply: a_gt0.
have Ab_gt0 : 0 < A + b by apply: addr_gt0.
pose p := (A + b)^-1 * A.
have pE : 1 - p = (A + b)^-1 * b.
  by rewrite -[1](mulVf (lt0r_neq0 Ab_gt0)) /p -mulrBr addrAC subrr add0r.
have p01 : 0 <= p <= 1.
  by rewrite -[p <= 1]subr_ge0 pE /p !mulr_ge0 ?invr_ge0 ?ltW.
have := cf (A^-1 *: \sum_(t < T.+1) a t *: x t) (x T.+1) p p01.
rewrite pE /p !scalerA -[_ * A * A^-1]mulrA divff ?gt_eqF // mulr1 -scalerA -scalerDr.
move=> le1; apply: le_trans le1 _; rewrite mulrDr !mulrA ler_add2r.
by rewrite -!mulrA ler_wpmul2l ?invr_ge0 ?(ltW Ab_gt0) // -ler_pdivl_mull.
Qed.

Lemma mean_mixture {R : realFieldType} (T : finType) (X : {set T}) (P : pred T)
    (c : R) : (0 < #|X|)%N ->
  mean X (fun x => (P x)%:R + (1 - (P x)%:R) * c : R^o) = Pr X P + (1 - Pr X P) * c.
Proof.
move=> X_gt0; have mix (b : R) : b + (1 - b) * c = (1 - c) * b + c.
  by rewrite !mulrBl !mul1r [c * b]mulrC addrA addrAC.
pose f (x : T) : R^o := (1 - c) *: ((P x)%:R : R^o); pose f' (x : T) : R^o := c.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => f x + f' x)); last first.
  by move=> x _; apply: mix.
by rewrite mean_add mean_const // mean_scale -Pr_mean mix.
Qed.

(* The expected product of two deviations of indicators.                      *)
Lemma mean_deviations {R : realFieldType} (T : finType) (X : {set T}) (P P' : pred T)
    (a b : R) : (0 < #|X|)%N ->
  mean X (fun x => ((P x)%:R - a) * ((P' x)%:R - b) : R^o)
  = Pr X (fun x => P x && P' x) + (- b) * Pr X P + ((- a) * Pr X P' + a * b).
Proof.
move=> X_gt0.
pose f x : R^o := (P x && P' x)%:R; pose f1 x : R^o := (- b) *: ((P x)%:R : R^o).
pose f2 x : R^o := (- a) *: ((P' x)%:R : R^o); pose c (x : T) : R^o := a * b.
rewrite (@eq_mean _ _ [lmodType R of R^o] _ _ (fun x => f x + f1 x + (f2 x + c x))).
  by rewrite !mean_add !mean_scale mean_const // -!Pr_mean.
move=> x _; rewrite /f /f1 /f2 /c /GRing.scale /= mulrBl !mulrBr opprB -natrM mulnb.
by rewrite !mulNr [b * _]mulrC [- (a * _) + _]addrC !addrA.
Qed.

(* Drawing k elements of B uniformly takes each of them with chance k / #|B|. *)
Lemma Pr_draws {R : realFieldType} (T : finType) (B : {set T}) k x : x \in B ->
  (k <= #|B|)%N ->
  Pr (draws B k) (fun U => x \in U) = k%:R / #|B|%:R :> R.
Proof.
move=> xB kB; have B_gt0 : (0 < #|B|)%N by apply/card_gt0P; exists x.
rewrite /Pr; case: k kB => [_|k kB].
  rewrite mul0r eq_card0 ?mul0r // => U; rewrite !inE cards_eq0.
  by case: eqP => [->|]; rewrite ?andbF // inE andbF.
rewrite card_draws_with // card_draws_of; apply/eqP.
by rewrite eqr_div ?pnatr_eq0 -?lt0n ?bin_gt0 // -!natrM mulnC mul_bin_diag.
Qed.

(* ************************************************************************** *)
(* Sequences of independent draws                                             *)
(* ************************************************************************** *)

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

(* ************************************************************************** *)
(* Independent draws for every sample                                         *)
(* ************************************************************************** *)

(* n independent uniform draws from the population Z: the data.               *)
Definition data_sets (Z : finType) (n : nat) : {set {ffun 'I_n -> Z}} := setT.

(* The same data but for sample i.                                            *)
Definition replace {Z : finType} {n : nat} (x : {ffun 'I_n -> Z}) (i : 'I_n) (u : Z) :
    {ffun 'I_n -> Z} :=
  [ffun j => if j == i then u else x j].

(* A sample and one drawn anew can change places.                             *)
Lemma exchange_sample {R : realFieldType} (Z : finType) n (i : 'I_n)
    (F : {ffun 'I_n -> Z} -> Z -> R^o) :
  mean (data_sets Z n) (fun x => mean [set: Z] (F x))
  = mean (data_sets Z n) (fun x => mean [set: Z] (fun u => F (replace x i u) (x i))).
Proof.
rewrite !mean_all; congr (_ *: _); under eq_bigr do rewrite mean_all.
under [RHS]eq_bigr do rewrite mean_all.
rewrite -!scaler_sumr; congr (_ *: _); rewrite !pair_bigA /=.
pose swap (p : {ffun 'I_n -> Z} * Z) := (replace p.1 i p.2, p.1 i).
rewrite (reindex_inj (can_inj (_ : cancel swap swap))) // => -[x u].
rewrite /swap /=; congr (_, _); last by rewrite ffunE eqxx.
by apply/ffunP => j; rewrite !ffunE; case: eqP => [->|].
Qed.

(* The samples at s different places are as good as s independent draws: they *)
(* can change places with such.                                               *)
Lemma mean_marginal {R : realFieldType} (Z : finType) n s (e : 'I_s -> 'I_n)
    (F : {ffun 'I_s -> Z} -> R^o) :
  (0 < #|Z|)%N -> injective e ->
  mean (data_sets Z n) (fun x => F [ffun k => x (e k)]) = mean (data_sets Z s) F.
Proof.
move=> Z_gt0 e_inj; have D_gt0 m : (0 < #|data_sets Z m|)%N.
  by rewrite cardsT card_ffun card_ord expn_gt0 Z_gt0.
rewrite -[RHS](mean_const _ (D_gt0 n)).
transitivity (mean (data_sets Z n) (fun x =>
    mean (data_sets Z s) (fun=> F [ffun k => x (e k)]))).
  by apply: eq_mean => x _; rewrite mean_const.
rewrite /data_sets !mean_all; congr (_ *: _); under eq_bigr do rewrite mean_all.
rewrite -!scaler_sumr; congr (_ *: _); rewrite !pair_bigA /=.
pose over (x : {ffun 'I_n -> Z}) (w : {ffun 'I_s -> Z}) :=
  [ffun j => if [pick k | e k == j] is Some k then w k else x j].
pose swap (p : {ffun 'I_n -> Z} * {ffun 'I_s -> Z}) := (over p.1 p.2, [ffun k => p.1 (e k)]).
have swapK : cancel swap swap.
  move=> [x w]; rewrite /swap /=; congr (_, _); apply/ffunP => j; rewrite !ffunE.
    by case: pickP => // k /eqP <-; rewrite ffunE.
  by case: pickP => [k /eqP/e_inj-> //|/(_ j)]; rewrite eqxx.
rewrite [RHS](reindex_inj (can_inj swapK)); exact: eq_bigr.
Qed.
