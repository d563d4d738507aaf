(* From the surrogate back to the empirical loss.                             *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion Unbiased.
From OrderDP Require Import Convex Surrogate Gap Vectors Convergence.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* L_q - L where the losses are x and rho ranks them.                         *)
Definition gap {R : realFieldType} {n : nat} (s q : nat) (rho : {perm 'I_n})
    (x : 'I_n -> R) : R :=
  kept_mean s q rho x - average x.

Lemma gap_ge0 {R : realFieldType} n s q (rho : {perm 'I_n}) (x : 'I_n -> R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> ranks rho x -> 0 <= gap s q rho x.
Proof.
move=> q_gt0 qs sn rho_x; rewrite /gap (gapE rho x 0) //.
under eq_bigr do rewrite subr0.
apply: chebyshev_sum (weights_sum_by rho q_gt0 qs sn) _ => i j.
rewrite opprB addrA subrK -mulrBl mulrAC divr_ge0 ?ler0n //.
have le_gamma (a b : 'I_n) : (rho a < rho b)%N ->
    gamma n s q (rho b).+1 <= gamma n s q (rho a).+1 :> R.
  by move=> ab; apply: gamma_antitone; rewrite // ltnS (ltnW ab) ltn_ord.
case: (ltngtP (rho i) (rho j)) => [ij|ji|/ord_inj ->]; last by rewrite subrr mul0r.
  by apply: mulr_ge0; rewrite subr_ge0 ?rho_x ?le_gamma.
by apply: mulr_le0; rewrite subr_le0 ?rho_x ?le_gamma.
Qed.

(* For losses that are not negative the gap is at most a share of the loss.   *)
Theorem gap_nonnegative {R : realFieldType} (n s q : nat) (rho : {perm 'I_n})
    (x : 'I_n -> R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (forall i, 0 <= x i) ->
  gap s q rho x <= (s%:R / q%:R - 1) * average x.
Proof.
move=> q_gt0 qs sn x0; rewrite /gap mulrBl mul1r ler_add2r /kept_mean /average.
rewrite [s%:R / q%:R]mulrC -mulrA ler_wpmul2l ?invr_ge0 ?ler0n // mulrA mulr_sumr.
by apply: ler_sum => i _; apply: (ler_wpmul2r (x0 i)); apply: weight_le; rewrite ?ltn_ord.
Qed.

(* The losses are x at the point found and x' at the point it is compared     *)
(* with; e is the optimization error.                                         *)
Theorem transfer {R : realFieldType} (n s q : nat) (rho rho' : {perm 'I_n})
    (x x' : 'I_n -> R) (e : R) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> ranks rho x ->
  kept_mean s q rho x <= kept_mean s q rho' x' + e ->
  average x <= average x' + gap s q rho' x' - gap s q rho x + e /\
  average x <= average x' + gap s q rho' x' + e.
Proof.
move=> q_gt0 qs sn rho_x near; have gap0 := gap_ge0 q_gt0 qs sn rho_x.
suff le1 : average x <= average x' + gap s q rho' x' - gap s q rho x + e.
  by split=> //; apply: le_trans le1 _; rewrite ler_add2r ler_subl_addr ler_addl.
have -> : average x' + gap s q rho' x' = kept_mean s q rho' x' by rewrite addrC subrK.
by rewrite addrAC ler_subr_addr [average x + _]addrC subrK.
Qed.

(* After T steps: the mean loss of the averaged iterate, in expectation.      *)
Theorem transfer_convergence {R : realFieldType} (n s q d T : nat) (eta : nat -> R)
    (D2 G : R) (L : 'I_n -> 'rV[R]_d -> R) (order : 'rV[R]_d -> {perm 'I_n})
    (rho : seq {set 'I_n} -> {perm 'I_n}) (g : seq {set 'I_n} -> 'I_n -> 'rV[R]_d)
    (theta : seq {set 'I_n} -> 'rV[R]_d) (star : 'rV[R]_d) :
  (0 < q)%N -> (q <= s)%N -> (s <= n)%N -> (0 < T)%N -> (forall t, 0 < eta t) ->
  0 <= G -> (forall i, lipschitz G (L i)) -> (forall i, convex (L i)) ->
  (forall u, ranks (order u) (fun i => L i u)) ->
  orderdp_run q eta rho g theta -> subgradients L g theta -> fresh L rho theta ->
  sqnorm (theta [::] - star) <= D2 ->
  (mean (sequences (candidates n s) T) (fun c =>
     average (fun i => L i (average_iterate eta T theta c)) : R^o) : R)
  <= average (fun i => L i star) + gap s q (order star) (fun i => L i star)
     + convergence_bound D2 G eta T.
Proof.
move=> q_gt0 qs sn T_gt0 eta_gt0 G0 LG cL order_L run gL rho_L startD.
have X_gt0 : (0 < #|candidates n s|)%N by rewrite card_candidates bin_gt0.
have C_gt0 := sequences_gt0 T X_gt0.
rewrite addrC -ler_subl_addr.
apply: le_trans (theorem3_average qs sn T_gt0 eta_gt0 G0 LG cL order_L run gL rho_L startD).
set k := average _ + _; pose F (c : T.-tuple {set 'I_n}) : R^o :=
  average (fun i => L i (average_iterate eta T theta c)).
pose E (c : T.-tuple {set 'I_n}) : R^o := F c - k.
have -> : mean (sequences (candidates n s) T) F - k = mean (sequences (candidates n s) T) E.
  rewrite -[k in LHS](@mean_const R _ [lmodType R of R^o] _ _ C_gt0).
  by rewrite -mulN1r -mean_scaleR -mean_add; apply: eq_mean => c _; rewrite mulN1r.
apply: mean_le => c _; rewrite /E /k [average _ + gap _ _ _ _]addrC subrK ler_add2r -subr_ge0.
exact: gap_ge0.
Qed.
