(* Bounded differences: a function of independent draws that no single draw    *)
(* changes by much is close to its mean.                                      *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Convex Expectation.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Values within an interval of length c have a variance of at most c^2 / 4.  *)
Lemma variance_range {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) (c m : R) :
  (0 < #|X|)%N -> m = mean X (f : T -> R^o) ->
  (forall x y, x \in X -> y \in X -> f x - f y <= c) ->
  (mean X (fun x => (f x - m) ^+ 2 : R^o) : R) <= (c / 2%:R) ^+ 2.
Proof.
move=> X_gt0 mE range; have /card_gt0P[x0 x0X] := X_gt0.
case: (@arg_maxP _ _ _ x0 (fun i => i \in X) f x0X) => hi hiX hi_max.
case: (@arg_minP _ _ _ x0 (fun i => i \in X) f x0X) => lo loX lo_min.
have half (z w : R) : (z <= w / 2%:R) = (z + z <= w).
  by rewrite ler_pdivl_mulr ?ltr0n // mulr_natr mulr2n.
pose mid := (f hi + f lo) / 2%:R.
apply: (@le_trans _ _ (mean X (fun x => (f x - mid) ^+ 2 : R^o))).
  by rewrite (mean_sqr f mid X_gt0) -mE ler_addl sqr_ge0.
rewrite -[X in _ <= X](@mean_const R _ [lmodType R of R^o] _ _ X_gt0); apply: mean_le => x xX.
have c0 : 0 <= c by apply: le_trans (range _ _ x0X x0X); rewrite subrr.
suff near : `|f x - mid| <= c / 2%:R.
  by rewrite -real_normK ?num_real // ler_expn2r ?nnegrE ?normr_ge0 ?divr_ge0 ?ler0n.
rewrite ler_norml ler_oppl opprB !half; apply/andP; split.
  rewrite [X in X <= _]addrACA -splitr -opprD opprD addrACA -[c]addr0.
  by apply: ler_add; [apply: range | rewrite subr_le0; apply: lo_min].
rewrite addrACA -opprD -splitr opprD addrACA -[c]add0r.
by apply: ler_add; [rewrite subr_le0; apply: hi_max | apply: range].
Qed.

(* One more draw: the variance of its mean, and what it adds.                 *)
Lemma variance_sequences {R : realFieldType} (T : finType) (X : {set T}) (c : R) n
    (F : seq T -> R) (m : R) :
  (0 < #|X|)%N -> m = mean (sequences X n) (F : seq T -> R^o) ->
  (forall a x y e, x \in X -> y \in X -> (size a + size e).+1 = n ->
     F (a ++ x :: e) - F (a ++ y :: e) <= c) ->
  (mean (sequences X n) (fun s => (F s - m) ^+ 2 : R^o) : R) <= n%:R * (c / 2%:R) ^+ 2.
Proof.
move=> X_gt0; elim: n F => [|n IH] F mE change.
  rewrite (mean_sequences0 X (fun s => (F s - m) ^+ 2 : R^o)) mE.
  by rewrite (mean_sequences0 X (F : seq T -> R^o)) subrr expr0n mul0r.
pose G s : R := mean X (fun x => F (rcons s x) : R^o).
have {}mE : m = mean (sequences X n) (G : seq T -> R^o).
  by rewrite mE (mean_sequences X n (F : seq T -> R^o)).
rewrite (mean_sequences X n (fun s => (F s - m) ^+ 2 : R^o)).
apply: (@le_trans _ _ (mean (sequences X n) (fun s =>
  ((c / 2%:R) ^+ 2 : R^o) + ((G s - m) ^+ 2 : R^o)))).
  apply: mean_le => s _; rewrite (mean_sqr (fun x => F (rcons s x)) m X_gt0) ler_add2r.
  apply: (variance_range X_gt0 (erefl _)) => x y xX yX; have := change s x y [::] xX yX.
  by rewrite !cats1 size_tuple addn0; apply.
rewrite mean_add mean_const ?sequences_gt0 // -[n.+1]addn1 natrD mulrDl mul1r addrC ler_add2r.
apply: (IH G mE) => a x y e xX yX ae; rewrite /G -mean_sub.
rewrite -[c](@mean_const R _ [lmodType R of R^o] _ _ X_gt0); apply: mean_le => z zX.
by rewrite !rcons_cat !rcons_cons; apply: change; rewrite // size_rcons addnS ae.
Qed.

Lemma chebyshev {R : realFieldType} (T : finType) (X : {set T}) (f : T -> R) (m t : R) :
  0 <= t ->
  Pr X (fun x => m + t <= f x) * t ^+ 2 <= (mean X (fun x => (f x - m) ^+ 2 : R^o) : R).
Proof.
move=> t0; rewrite mulrC Pr_mean -mean_scaleR; apply: mean_le => x _.
case: (boolP (m + t <= f x)) => [far|_]; last by rewrite mulr0 sqr_ge0.
have far' : t <= f x - m by rewrite ler_subr_addl.
by rewrite mulr1 ler_expn2r ?nnegrE // (le_trans t0).
Qed.

(* n independent draws as a sequence.                                         *)
Lemma mean_data_sets {R : realFieldType} (Z : finType) n (z0 : Z) (F : {ffun 'I_n -> Z} -> R^o) :
  mean (data_sets Z n) F
  = mean (sequences [set: Z] n) (fun s => F [ffun i : 'I_n => nth z0 s i]).
Proof.
have -> : sequences [set: Z] n = [set: n.-tuple Z].
  by apply/setP => s; rewrite !inE; apply/allP => z _; rewrite inE.
rewrite /data_sets !mean_all card_ffun card_tuple card_ord; congr (_ *: _).
pose draws (x : {ffun 'I_n -> Z}) := [tuple x i | i < n].
rewrite [RHS](reindex draws) /=.
  apply: eq_bigr => x _; congr F; apply/ffunP => i; rewrite ffunE.
  by rewrite (nth_map i) ?size_enum_ord // nth_ord_enum.
exists (fun s : n.-tuple Z => [ffun i => tnth s i]) => [x _|s _].
  by apply/ffunP => i; rewrite ffunE tnth_mktuple.
by apply: eq_from_tnth => i; rewrite tnth_mktuple ffunE.
Qed.

(* If replacing one sample raises F by at most c, then F exceeds its mean by  *)
(* t with a probability of at most n c^2 / (4 t^2).                           *)
Theorem bounded_differences {R : realFieldType} (Z : finType) (n : nat) (c t m : R)
    (F : {ffun 'I_n -> Z} -> R) :
  (0 < #|Z|)%N -> 0 <= t -> (forall x i u, F (replace x i u) - F x <= c) ->
  m = mean (data_sets Z n) (F : {ffun 'I_n -> Z} -> R^o) ->
  Pr (data_sets Z n) (fun x => m + t <= F x) * t ^+ 2 <= n%:R * (c / 2%:R) ^+ 2.
Proof.
move=> Z_gt0 t0 change mE; have /card_gt0P[z0 _] := Z_gt0.
apply: le_trans (chebyshev _ F m t0) _.
rewrite (mean_data_sets z0 (fun x => (F x - m) ^+ 2 : R^o)).
pose F' s := F [ffun i : 'I_n => nth z0 s i].
apply: (@variance_sequences _ _ _ _ _ F'); first by rewrite cardsT.
  by rewrite mE (mean_data_sets z0 (F : _ -> R^o)).
move=> a x y e _ _ ae; rewrite /F'.
have an : (size a < n)%N by rewrite -ae ltnS leq_addr.
have -> : [ffun i : 'I_n => nth z0 (a ++ x :: e) i]
          = replace [ffun i : 'I_n => nth z0 (a ++ y :: e) i] (Ordinal an) x.
  apply/ffunP => i; rewrite !ffunE !nth_cat -val_eqE /=.
  case: ltngtP => // ai; last by rewrite ai subnn.
  by rewrite -[(i - size a)%N]prednK ?subn_gt0.
exact: change.
Qed.
