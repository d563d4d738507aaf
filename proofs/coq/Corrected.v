(* Theorem 4 corrected: the population risk, with the sampling error of the   *)
(* data that the printed bound lacks.                                         *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex.
From OrderDP Require Import Surrogate Gap Vectors Convergence Transfer Population Differences.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The mean loss of the data.                                                 *)
Definition sample_risk {R : realFieldType} {Z : finType} {n d : nat} (loss : Z -> 'rV[R]_d -> R)
    (x : {ffun 'I_n -> Z}) (v : 'rV[R]_d) : R :=
  average (fun i => loss (x i) v).

(* worst x is the least upper bound, over the class K, of the population risk *)
(* above that of the data x.                                                  *)
Definition worst_excess {R : realFieldType} {Z : finType} {n d : nat} (loss : Z -> 'rV[R]_d -> R)
    (K : 'rV[R]_d -> Prop) (worst : {ffun 'I_n -> Z} -> R) : Prop :=
  (forall x v, K v -> population_risk loss v - sample_risk loss x v <= worst x) /\
  (forall x M, (forall v, K v -> population_risk loss v - sample_risk loss x v <= M) ->
     worst x <= M).

Lemma sample_risk_replace {R : realFieldType} (Z : finType) n d (loss : Z -> 'rV[R]_d -> R)
    (x : {ffun 'I_n -> Z}) i u v :
  sample_risk loss (replace x i u) v = sample_risk loss x v + n%:R^-1 * (loss u v - loss (x i) v).
Proof.
apply/eqP; rewrite addrC -subr_eq; apply/eqP; rewrite /sample_risk /average -mulrBr -sumrB.
congr (_ * _); rewrite (bigD1 i) //= ffunE eqxx big1 ?addr0 // => j ji.
by rewrite ffunE (negPf ji) subrr.
Qed.

Lemma mean_sample_risk {R : realFieldType} (Z : finType) n d (loss : Z -> 'rV[R]_d -> R) v :
  (0 < n)%N -> (0 < #|Z|)%N ->
  population_risk loss v = mean (data_sets Z n) (fun x => sample_risk loss x v : R^o).
Proof.
move=> n_gt0 Z_gt0; have Z0 : (0 < #|[set: Z]|)%N by rewrite cardsT.
have D0 : (0 < #|data_sets Z n|)%N by rewrite cardsT card_ffun card_ord expn_gt0 Z_gt0.
have one i : mean (data_sets Z n) (fun x => loss (x i) v : R^o) = population_risk loss v.
  pose F (x : {ffun 'I_n -> Z}) (u : Z) : R^o := loss (x i) v.
  transitivity (mean (data_sets Z n) (fun x => mean [set: Z] (F x))).
    by apply: (@eq_mean R _ [lmodType R of R^o]) => x _; rewrite mean_const.
  rewrite (exchange_sample i) -[RHS](@mean_const R _ [lmodType R of R^o] _ _ D0).
  apply: (@eq_mean R _ [lmodType R of R^o]) => x _.
  by apply: (@eq_mean R _ [lmodType R of R^o]) => u _; rewrite /F ffunE eqxx.
rewrite mean_average /average (eq_bigr (fun=> population_risk loss v)) => [|i _]; last exact: one.
by rewrite sumr_const card_ord -[X in _ * X]mulr_natl mulKf // pnatr_eq0 -lt0n.
Qed.

(* What no sample changes by more than b / n.                                 *)
Lemma sampling_error {R : realFieldType} (Z : finType) n (b t m : R)
    (F : {ffun 'I_n -> Z} -> R) :
  (0 < n)%N -> (0 < #|Z|)%N -> 0 <= t -> (forall x i u, F (replace x i u) - F x <= n%:R^-1 * b) ->
  m = mean (data_sets Z n) (F : {ffun 'I_n -> Z} -> R^o) ->
  Pr (data_sets Z n) (fun x => m + t <= F x) * (4%:R * n%:R * t ^+ 2) <= b ^+ 2.
Proof.
move=> n_gt0 Z_gt0 t0 change mE; have n0 : n%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have := bounded_differences Z_gt0 t0 change mE; set p := Pr _ _ => le.
have -> : p * (4%:R * n%:R * t ^+ 2) = 4%:R * n%:R * (p * t ^+ 2) by rewrite mulrCA.
have -> : b ^+ 2 = 4%:R * n%:R * (n%:R * (n%:R^-1 * b / 2%:R) ^+ 2).
  rewrite [LHS](_ : _ = (2%:R * (n%:R * (n%:R^-1 * b / 2%:R))) ^+ 2); last first.
    by rewrite [n%:R * _]mulrA mulVKf // mulrC divfK // pnatr_eq0.
  by rewrite !exprMn -natrX !mulrA [4%:R * _ * n%:R]mulrAC -!mulrA.
by rewrite ler_wpmul2l // mulr_ge0 ?ler0n.
Qed.

Theorem corrected_theorem4 {R : realFieldType} (Z : finType) (n s q d : nat) (b t U : R)
    (loss : Z -> 'rV[R]_d -> R) (K : 'rV[R]_d -> Prop) (worst : {ffun 'I_n -> Z} -> R)
    (order : {ffun 'I_n -> Z} -> 'rV[R]_d -> {perm 'I_n}) :
  (0 < n)%N -> (0 < #|Z|)%N -> 0 <= t -> (forall v z z', K v -> loss z v - loss z' v <= b) ->
  worst_excess loss K worst -> U = mean (data_sets Z n) (worst : {ffun 'I_n -> Z} -> R^o) ->
  Pr (data_sets Z n) (fun x => U + t <= worst x) * (4%:R * n%:R * t ^+ 2) <= b ^+ 2 /\
  forall x v, worst x < U + t -> K v ->
    population_risk loss v
    <= kept_mean s q (order x v) (fun i => loss (x i) v)
       - gap s q (order x v) (fun i => loss (x i) v) + (U + t).
Proof.
move=> n_gt0 Z_gt0 t0 range [above least] UE; split.
  apply: sampling_error UE => // x i u; rewrite ler_subl_addl; apply: least => v Kv.
  rewrite sample_risk_replace opprD addrA; apply: ler_add; first exact: above.
  by rewrite -mulrN opprB ler_wpmul2l ?invr_ge0 ?ler0n ?range.
move=> x v good Kv; rewrite /gap opprB [kept_mean _ _ _ _ + (_ - _)]addrCA subrr addr0.
rewrite -ler_subl_addl.
by apply: le_trans (above x v Kv) (ltW good).
Qed.

(* The expected supremum, by random signs: rad x e is at least the mean of    *)
(* the losses with the signs e, for every vector of the class.                *)
Theorem symmetrization {R : realFieldType} (Z : finType) (n d : nat)
    (loss : Z -> 'rV[R]_d -> R) (K : 'rV[R]_d -> Prop) (worst : {ffun 'I_n -> Z} -> R)
    (rad : {ffun 'I_n -> Z} -> {ffun 'I_n -> bool} -> R) :
  (0 < n)%N -> (0 < #|Z|)%N -> worst_excess loss K worst ->
  (forall (x : {ffun 'I_n -> Z}) (e : {ffun 'I_n -> bool}) v, K v ->
     average (fun i => (- 1) ^+ e i * loss (x i) v) <= rad x e) ->
  (mean (data_sets Z n) (worst : {ffun 'I_n -> Z} -> R^o) : R)
  <= 2%:R * mean (data_sets Z n) (fun x =>
       mean [set: {ffun 'I_n -> bool}] (fun e => rad x e : R^o)).
Proof.
move=> n_gt0 Z_gt0 [_ least] radE; set D := data_sets Z n.
have D0 : (0 < #|D|)%N by rewrite cardsT card_ffun card_ord expn_gt0 Z_gt0.
pose flip (e : {ffun 'I_n -> bool}) := [ffun i => ~~ e i].
pose A e : R^o := mean D (fun x => rad x e : R^o).
have one e : (mean D (worst : _ -> R^o) : R) <= A e + A (flip e).
  pose swap (p : {ffun 'I_n -> Z} * {ffun 'I_n -> Z}) :=
    ([ffun i => if e i then p.2 i else p.1 i], [ffun i => if e i then p.1 i else p.2 i]).
  pose F (p : {ffun 'I_n -> Z} * {ffun 'I_n -> Z}) : R^o := rad p.2 e + rad p.1 (flip e).
  have below x : worst x <= mean D (fun x' => F (swap (x, x'))).
    apply: least => v Kv; rewrite (mean_sample_risk loss v n_gt0 Z_gt0).
    rewrite -[sample_risk loss x v](@mean_const R _ [lmodType R of R^o] _ _ D0) -mean_sub.
    apply: mean_le => x' _; apply: le_trans _ (ler_add (radE _ _ v Kv) (radE _ _ v Kv)).
    rewrite /sample_risk /average -mulrBr -mulrDr -sumrB -big_split /=.
    rewrite [X in _ <= _ * X](eq_bigr (fun i => loss (x' i) v - loss (x i) v)) // => i _.
    rewrite !ffunE.
    by case: (e i); rewrite /= ?expr0 ?expr1 ?mul1r ?mulN1r // addrC.
  apply: (@le_trans _ _ (mean D (fun x => mean D (fun x' => F (swap (x, x')))))).
    by apply: mean_le => x _; apply: below.
  have -> : mean D (fun x => mean D (fun x' => F (swap (x, x'))))
            = mean D (fun x => mean D (fun x' => F (x, x'))).
    rewrite /D !mean_all; congr (_ *: _); under eq_bigr do rewrite mean_all.
    under [RHS]eq_bigr do rewrite mean_all.
    rewrite -!scaler_sumr; congr (_ *: _); rewrite !pair_bigA /=.
    rewrite [RHS](reindex_inj (can_inj (_ : cancel swap swap))) => [|[x x']].
      by apply: eq_bigr => -[x x'].
    by rewrite /swap /=; congr (_, _); apply/ffunP => i; rewrite !ffunE; case: (e i).
  rewrite le_eqVlt; apply/orP; left; apply/eqP.
  transitivity (mean D (fun x => (A e : R^o) + (rad x (flip e) : R^o))).
    apply: (@eq_mean R _ [lmodType R of R^o]) => x _.
    rewrite /F (@mean_add R _ [lmodType R of R^o] D (fun x' => rad x' e) (fun=> rad x (flip e))).
    by rewrite mean_const.
  rewrite (@mean_add R _ [lmodType R of R^o] D (fun=> A e) (fun x => rad x (flip e))).
  by rewrite mean_const.
have E0 : (0 < #|[set: {ffun 'I_n -> bool}]|)%N.
  by rewrite cardsT card_ffun card_bool card_ord expn_gt0.
rewrite -[X in X <= _](@mean_const R _ [lmodType R of R^o] _ _ E0) mean_exchange.
apply: (@le_trans _ _ (mean [set: {ffun 'I_n -> bool}] (fun e => A e + A (flip e)))).
  by apply: mean_le => e _; apply: one.
rewrite (@mean_add R _ [lmodType R of R^o] _ A (fun e => A (flip e))) mulr_natl mulr2n.
have -> : mean [set: {ffun 'I_n -> bool}] (fun e => A (flip e)) = mean setT A.
  rewrite !mean_all; congr (_ *: _); rewrite [RHS](reindex_inj (can_inj (_ : cancel flip flip))) //.
  by move=> e; apply/ffunP => i; rewrite !ffunE negbK.
exact: lexx.
Qed.

(* The risk of what is found, beside that of a point star that was fixed      *)
(* before the data; e x is the optimization error on the data x.              *)
Theorem corrected_excess {R : realFieldType} (Z C : finType) (n s q d : nat) (b t U : R)
    (loss : Z -> 'rV[R]_d -> R) (K : 'rV[R]_d -> Prop) (worst e : {ffun 'I_n -> Z} -> R)
    (order : {ffun 'I_n -> Z} -> 'rV[R]_d -> {perm 'I_n}) (draws : {set C})
    (found : {ffun 'I_n -> Z} -> C -> 'rV[R]_d) (star : 'rV[R]_d) :
  let kept x v := kept_mean s q (order x v) (fun i => loss (x i) v) in
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < #|Z|)%N -> (0 < #|draws|)%N -> 0 <= t ->
  (forall v z z', K v -> loss z v - loss z' v <= b) ->
  worst_excess loss K worst -> U = mean (data_sets Z n) (worst : {ffun 'I_n -> Z} -> R^o) ->
  (forall x v, ranks (order x v) (fun i => loss (x i) v)) ->
  (forall x c, K (found x c)) -> K star ->
  (forall x, (mean draws (fun c => kept x (found x c) : R^o) : R) <= kept x star + e x) ->
  Pr (data_sets Z n) (fun x => population_risk loss star + e x
       + gap s q (order x star) (fun i => loss (x i) star) + U + 2%:R * t
     < (mean draws (fun c => population_risk loss (found x c) : R^o) : R))
  * (4%:R * n%:R * t ^+ 2) <= 2%:R * b ^+ 2.
Proof.
move=> kept q_gt0 qs sn Z_gt0 C_gt0 t0 range [above least] UE order_L foundK starK opt.
have n_gt0 : (0 < n)%N by rewrite (leq_trans q_gt0) // (leq_trans qs).
have [bad1 good1] := corrected_theorem4 s q order n_gt0 Z_gt0 t0 range (conj above least) UE.
have bad2 := sampling_error n_gt0 Z_gt0 t0 (F := fun x => sample_risk loss x star) _
  (mean_sample_risk loss star n_gt0 Z_gt0).
have {}bad2 := bad2 b _; set p := Pr _ _; set k := 4%:R * n%:R * t ^+ 2 in bad1 bad2 *.
have k0 : 0 <= k by rewrite !mulr_ge0 ?ler0n ?sqr_ge0.
set p1 := Pr _ _ in bad1; pose p2 : R := Pr (data_sets Z n) (fun x =>
  population_risk loss star + t <= sample_risk loss x star).
suff union : p <= p1 + p2.
  apply: le_trans (ler_wpmul2r k0 union) _; rewrite mulrDl mulr_natl mulr2n.
  apply: ler_add => //; apply: bad2 => x i u.
  by rewrite sample_risk_replace addrAC subrr add0r ler_wpmul2l ?invr_ge0 ?ler0n ?range.
pose bad x : R^o := (U + t <= worst x)%R%:R.
pose bad' (x : {ffun 'I_n -> Z}) : R^o :=
  (population_risk loss star + t <= sample_risk loss x star)%R%:R.
rewrite /p /p1 /p2 !Pr_mean.
rewrite -[X in _ <= X](@mean_add R _ [lmodType R of R^o] (data_sets Z n) bad bad').
apply: mean_le => x _; rewrite /bad /bad'.
case: ltP => [far|_]; last by rewrite addr_ge0 ?ler0n.
case: (leP (U + t)) => [_|good]; first by rewrite ler_addl ler0n.
case: (leP (population_risk loss star + t)) => [_|low]; first by rewrite add0r.
move: far; rewrite ltNge => /negP[].
have le1 : (mean draws (fun c => population_risk loss (found x c) : R^o) : R)
    <= mean draws (fun c => kept x (found x c) + (U + t) : R^o).
  apply: mean_le => c _; apply: le_trans (good1 x (found x c) good (foundK x c)) _.
  by rewrite ler_add2r ler_subl_addr ler_addl gap_ge0.
apply: le_trans le1 _.
rewrite (@mean_add R _ [lmodType R of R^o] draws (fun c => kept x (found x c)) (fun=> U + t)).
rewrite mean_const //; apply: le_trans (ler_add (opt x) (lexx (U + t))) _.
have -> : kept x star = sample_risk loss x star
    + gap s q (order x star) (fun i => loss (x i) star) by rewrite addrC subrK.
move: low => /ltW; rewrite mulr_natl mulr2n.
move: (gap _ _ _ _) (sample_risk _ _ _) (population_risk _ _) (e x) => g a r ex low.
have -> : a + g + ex + (U + t) = a + (ex + g + U + t) by rewrite -!addrA [g + (ex + _)]addrCA.
have -> : r + ex + g + U + (t + t) = r + t + (ex + g + U + t).
  by rewrite -!addrA; congr (_ + _); rewrite [RHS]addrC -!addrA.
by rewrite ler_add2r.
Qed.
