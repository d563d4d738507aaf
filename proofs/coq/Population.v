(* From the data to the population that they are drawn from: the risk of what *)
(* is found.                                                                  *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion Unbiased Convex.
From OrderDP Require Import Surrogate Gap Vectors Convergence Transfer Stability.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The mean loss of the population.                                           *)
Definition population_risk {R : realFieldType} {Z : finType} {d : nat} (loss : Z -> 'rV[R]_d -> R)
    (v : 'rV[R]_d) : R :=
  mean [set: Z] (fun z => loss z v : R^o).

(* If replacing a sample changes the expected value of no G-Lipschitz         *)
(* function by more than B, neither does the step from the data to the        *)
(* population change that of the loss.                                        *)
Theorem stable_generalization {R : realFieldType} (Z T : finType) (n d : nat) (G B : R)
    (X : {set T}) (loss : Z -> 'rV[R]_d -> R) (v : {ffun 'I_n -> Z} -> T -> 'rV[R]_d) :
  (0 < n)%N -> (0 < #|Z|)%N -> (forall z, lipschitz G (loss z)) ->
  (forall x i u (f : 'rV[R]_d -> R), lipschitz G f ->
     (mean X (fun c => f (v (replace x i u) c) - f (v x c) : R^o) : R) <= B) ->
  (mean (data_sets Z n) (fun x => mean X (fun c =>
     population_risk loss (v x c) - average (fun i => loss (x i) (v x c)) : R^o)) : R) <= B.
Proof.
move=> n_gt0 Z_gt0 lossG stable.
have n0 : n%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have Z0 : (0 < #|[set: Z]|)%N by rewrite cardsT.
have D0 : (0 < #|data_sets Z n|)%N by rewrite cardsT card_ffun card_ord expn_gt0 Z_gt0.
pose E x u : R^o := mean X (fun c => loss u (v x c) : R^o).
pose D x i : R := mean [set: Z] (fun u => E x u - E x (x i)).
have one i : (mean (data_sets Z n) (fun x => D x i : R^o) : R) <= B.
  have -> : mean (data_sets Z n) (fun x => D x i : R^o)
      = mean (data_sets Z n) (fun x => mean [set: Z] (fun u =>
          E (replace x i u) (x i) - E x (x i) : R^o)).
    transitivity ((mean (data_sets Z n) (fun x => mean [set: Z] (E x)) : R)
        - mean (data_sets Z n) (fun x => mean [set: Z] (fun=> E x (x i)))).
      by rewrite -mean_sub; apply: (@eq_mean R _ [lmodType R of R^o]) => x _; apply: mean_sub.
    rewrite (exchange_sample i) -mean_sub; apply: (@eq_mean R _ [lmodType R of R^o]) => x _.
    by rewrite mean_sub.
  rewrite -[B](@mean_const R _ [lmodType R of R^o] _ _ D0); apply: mean_le => x _.
  rewrite -[B](@mean_const R _ [lmodType R of R^o] _ _ Z0); apply: mean_le => u _.
  by rewrite -mean_sub; apply: stable.
have E_mean x : mean X (fun c =>
    population_risk loss (v x c) - average (fun i => loss (x i) (v x c)) : R^o)
    = average (D x) :> R.
  rewrite mean_sub mean_average mean_exchange /average -/(E x).
  under [in RHS]eq_bigr do rewrite /D mean_sub mean_const //.
  by rewrite sumrB sumr_const card_ord -[X in _ * (X - _)]mulr_natl [RHS]mulrBr mulKf.
rewrite (@eq_mean R _ [lmodType R of R^o] _ _ _ (fun x _ => E_mean x)) mean_average.
rewrite -[X in _ <= X](mulKf n0) ler_wpmul2l ?invr_ge0 ?ler0n // mulr_natl.
by rewrite -[X in _ *+ X]card_ord -sumr_const ler_sum.
Qed.

(* The population version of L_q: the expected mean of the q largest losses   *)
(* of s independent draws.                                                    *)
Definition surrogate_risk {R : realFieldType} {Z : finType} (s q : nat)
    (order : {ffun 'I_s -> Z} -> {perm 'I_s}) (loss : Z -> R) : R :=
  mean (data_sets Z s) (fun w =>
    q%:R^-1 * \sum_(i in top_by (order w) q setT) loss (w i) : R^o).

(* Its name says what it is: L_q of n independent samples has this mean.      *)
Theorem surrogate_risk_mean {R : realFieldType} (Z : finType) (n s q : nat)
    (rho : {ffun 'I_n -> Z} -> {perm 'I_n}) (order : {ffun 'I_s -> Z} -> {perm 'I_s})
    (loss : Z -> R) :
  (q <= s)%N -> (s <= n)%N -> (0 < #|Z|)%N ->
  (forall x, ranks (rho x) (fun i => loss (x i))) ->
  (forall w, ranks (order w) (fun i => loss (w i))) ->
  mean (data_sets Z n) (fun x => kept_mean s q (rho x) (fun i => loss (x i)) : R^o)
  = surrogate_risk q order loss.
Proof.
move=> qs sn Z_gt0 rho_x order_w.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
pose h x S : R^o := q%:R^-1 * \sum_(i in top_by (rho x) q S) loss (x i).
have keptE x : kept_mean s q (rho x) (fun i => loss (x i)) = mean (candidates n s) (h x).
  by rewrite (unbiased_stale (rho x) (fun i => loss (x i) : R^o) qs sn).
rewrite (@eq_mean R _ [lmodType R of R^o] _ _ _ (fun x _ => keptE x)) mean_exchange.
rewrite -[RHS](@mean_const R _ [lmodType R of R^o] _ _ X_gt0).
apply: (@eq_mean R _ [lmodType R of R^o]) => S; rewrite in_drawsT => /eqP Ss.
pose e (k : 'I_s) : 'I_n := enum_val (cast_ord (esym Ss) k).
have e_inj : injective e by move=> k l /enum_val_inj /cast_ord_inj.
have e_S k : e k \in S by apply: enum_valP.
have S_e i : i \in S -> exists k, i = e k.
  move=> iS; exists (cast_ord Ss (enum_rank_in iS i)).
  by rewrite /e cast_ordK enum_rankK_in.
rewrite /surrogate_risk -(mean_marginal _ Z_gt0 e_inj).
apply: (@eq_mean R _ [lmodType R of R^o]) => x _; rewrite /h; congr (_ * _).
set w := [ffun k => _]; have wE k : loss (w k) = loss (x (e k)) by rewrite ffunE.
have cardS : #|top_by (rho x) q S| = q by apply: card_top_by; rewrite Ss.
have cardT : #|top_by (order w) q setT| = q by apply: card_top_by; rewrite cardsT card_ord.
have sum_image (A : {set 'I_s}) : \sum_(i in e @: A) loss (x i) = \sum_(k in A) loss (w k).
  by rewrite big_imset /=; [apply: eq_bigr => k _; rewrite wE | apply: in2W].
apply/eqP; rewrite eq_le; apply/andP; split; last first.
  rewrite -sum_image; apply: top_by_max (rho_x x) _ _; last by rewrite card_imset ?cardS.
  by apply/subsetP => i /imsetP[k _ ->].
have image : e @: (e @^-1: top_by (rho x) q S) = top_by (rho x) q S.
  apply/setP => i; apply/imsetP/idP => [[k + ->]|iQ]; first by rewrite inE.
  have [k ik] : exists k, i = e k by apply: S_e; move: iQ; rewrite inE => /andP[].
  by exists k; rewrite // inE -ik.
rewrite -image sum_image; apply: top_by_max (order_w w) (subsetT _) _.
by rewrite -(card_imset _ e_inj) image cardS.
Qed.

(* The risk of what OrderDP finds, beside that of any fixed point.            *)
Theorem population_bound {R : realFieldType} (Z : finType) (n s q d T : nat) (eta G r D2 : R)
    (loss : Z -> 'rV[R]_d -> R) (star start : 'rV[R]_d)
    (order : {ffun 'I_n -> Z} -> 'rV[R]_d -> {perm 'I_n})
    (rho : {ffun 'I_n -> Z} -> seq {set 'I_n} -> {perm 'I_n})
    (g : {ffun 'I_n -> Z} -> seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : {ffun 'I_n -> Z} -> seq {set 'I_n} -> 'rV[R]_d) :
  let found x c := average_iterate (fun=> eta) T (theta x) c in
  let expected (f : {ffun 'I_n -> Z} -> seq {set 'I_n} -> R) : R :=
    mean (data_sets Z n) (fun x =>
      mean (sequences (candidates n s) T) (fun c => f x c : R^o)) in
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (0 < #|Z|)%N ->
  0 < eta -> 0 <= G -> 0 <= r -> r ^+ 2 = T%:R -> sqnorm (start - star) <= D2 ->
  (forall z, convex (loss z)) -> (forall z, lipschitz G (loss z)) ->
  (forall x : {ffun 'I_n -> Z}, let L i := loss (x i) in
     [/\ forall u, ranks (order x u) (fun i => L i u),
         orderdp_run q (fun=> eta) (rho x) (g x) (theta x),
         subgradients L (g x) (theta x), fresh L (rho x) (theta x) & theta x [::] = start]) ->
  expected (fun x c => population_risk loss (found x c))
  <= mean (data_sets Z n) (fun x =>
       kept_mean s q (order x star) (fun i => loss (x i) star) : R^o)
     + convergence_bound D2 G (fun=> eta) T
     + 2%:R * G ^+ 2 * (eta * r + eta * T%:R * s%:R / (n%:R * q%:R))
     - expected (fun x c => gap s q (order x (found x c)) (fun i => loss (x i) (found x c))).
Proof.
move=> found expected q_gt0 qs sn T_gt0 Z_gt0 eta_gt0 G0 r0 rT startD lossC lossG train.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
have C_gt0 := sequences_gt0 T X_gt0.
pose kept (x : {ffun 'I_n -> Z}) (v : 'rV[R]_d) :=
  kept_mean s q (order x v) (fun i => loss (x i) v).
pose mean_loss (x : {ffun 'I_n -> Z}) c := average (fun i => loss (x i) (found x c)).
have expected_sub f f' : expected (fun x c => f x c - f' x c) = expected f - expected f'.
  rewrite /expected -mean_sub; apply: (@eq_mean R _ [lmodType R of R^o]) => x _.
  by rewrite mean_sub.
have generalize : expected (fun x c => population_risk loss (found x c)) - expected mean_loss
    <= 2%:R * G ^+ 2 * (eta * r + eta * T%:R * s%:R / (n%:R * q%:R)).
  rewrite -expected_sub; apply: (stable_generalization _ _ lossG) => //.
    by rewrite (leq_trans q_gt0) // (leq_trans qs).
  move=> x i u f fG; have [_ run' gL' rho_L' start'] := train (replace x i u).
  have [_ run gL rho_L start0] := train x.
  have same j : j != i -> loss (x j) = loss (replace x i u j) by rewrite ffunE => /negPf->.
  have [_ [_ close]] := stability_fresh q_gt0 qs sn (ltW eta_gt0) G0 r0 rT same (fun j => lossG _)
    (fun j => lossG _) run' gL' rho_L' run gL rho_L (etrans start' (esym start0)).
  exact: close.
have optimize : expected (fun x c => kept x (found x c))
    - mean (data_sets Z n) (fun x => kept x star : R^o) <= convergence_bound D2 G (fun=> eta) T.
  rewrite -mean_sub; have D_gt0 : (0 < #|data_sets Z n|)%N.
    by rewrite cardsT card_ffun card_ord expn_gt0 Z_gt0.
  rewrite -[X in _ <= X](@mean_const R _ [lmodType R of R^o] _ _ D_gt0); apply: mean_le => x _.
  have [order_L run gL rho_L start0] := train x.
  rewrite -[kept x star](@mean_const R _ [lmodType R of R^o] _ _ C_gt0) -mean_sub.
  apply: theorem3_average order_L run gL rho_L _ => //; by rewrite start0.
have mean_lossE : expected mean_loss = expected (fun x c => kept x (found x c))
    - expected (fun x c => gap s q (order x (found x c)) (fun i => loss (x i) (found x c))).
  rewrite -expected_sub; apply: (@eq_mean R _ [lmodType R of R^o]) => x _.
  apply: (@eq_mean R _ [lmodType R of R^o]) => c _.
  by rewrite /gap opprB addrC subrK.
move: generalize; rewrite mean_lossE opprB addrA ler_subl_addr => le.
rewrite ler_subr_addr; apply: le_trans le _; rewrite [X in _ <= X]addrC ler_add2l.
by move: optimize; rewrite ler_subl_addr [X in _ <= X]addrC.
Qed.
