(* Sums over a ranking: the rearrangement inequality, and why ties do not     *)
(* matter.                                                                    *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Ranking.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* The samples at the places 0, ..., q - 1.                                   *)
Lemma top_by_setT n (rho : {perm 'I_n}) q : top_by rho q setT = [set i | (rho i < q)%N].
Proof.
apply/setP => i; rewrite !inE /=; congr (_ < q)%N.
rewrite -[RHS](card_below (ltnW (ltn_ord (rho i)))).
rewrite -(card_preimset _ (@perm_inj _ rho)); apply: eq_card => k.
by rewrite !inE.
Qed.

(* A weight is the last weight plus the drops behind its place.               *)
Lemma sum_drops {R : realFieldType} (w : nat -> R) n j : (j <= n)%N ->
  w j = w n + \sum_(k < n) (w k - w k.+1) * (j <= k)%N%:R.
Proof.
elim: n => [|n IH]; first by rewrite leqn0 => /eqP->; rewrite big_ord0 addr0.
rewrite leq_eqVlt => /predU1P[->|jn].
  by rewrite big1 ?addr0 // => k _; rewrite leqNgt ltn_ord mulr0.
have {}jn : (j <= n)%N by rewrite -ltnS.
by rewrite big_ord_recr /= jn mulr1 addrCA [w n.+1 + _]addrC subrK addrC -IH.
Qed.

(* Weights that never rise give the largest sum to the ranking of the values: *)
(* cut the weights into layers, each of which takes the top ones.             *)
Lemma rearrangement {R : realFieldType} n (w : nat -> R) (rho rho' : {perm 'I_n})
    (x : 'I_n -> R) :
  (forall r, (r.+1 < n)%N -> w r.+1 <= w r) -> ranks rho x ->
  \sum_i w (rho' i) * x i <= \sum_i w (rho i) * x i.
Proof.
case: n rho rho' x => [|n] rho rho' x w_anti rho_x; first by rewrite !big_ord0.
have layers (pi : {perm 'I_n.+1}) : \sum_i w (pi i) * x i = w n * (\sum_i x i)
    + \sum_(k < n) (w k - w k.+1) * \sum_(i in top_by pi k.+1 setT) x i.
  under eq_bigr => i _ do rewrite (sum_drops w (ltnSE (ltn_ord (pi i)))) mulrDl mulr_suml.
  rewrite big_split -mulr_sumr exchange_big /=. congr (_ + _); apply: eq_bigr => k _.
  under eq_bigr do rewrite -mulrA; rewrite -mulr_sumr; congr (_ * _).
  rewrite [RHS]big_mkcond; apply: eq_bigr => i _.
  by rewrite top_by_setT inE ltnS; case: leqP; rewrite ?mul1r ?mul0r.
rewrite !layers ler_add2l; apply: ler_sum => k _.
apply: ler_wpmul2l; first by rewrite subr_ge0 w_anti // ltnS.
apply: top_by_max rho_x _ _; first exact: subsetT.
by rewrite !card_top_by // cardsT card_ord ltnW // ltnS.
Qed.

(* Two rankings of the same values have the same value at each place.         *)
Lemma ranks_values {R : realFieldType} n (rho rho' : {perm 'I_n}) (x : 'I_n -> R) :
  ranks rho x -> ranks rho' x -> forall k, x ((rho^-1)%g k) = x ((rho'^-1)%g k).
Proof.
pose ge (a b : R) := b <= a.
have ge_trans : transitive ge by move=> a b c ba ac; exact: le_trans ac ba.
have ge_anti : antisymmetric ge by move=> a b; rewrite /ge andbC; exact: le_anti.
pose list (pi : {perm 'I_n}) := [seq x ((pi^-1)%g k) | k <- enum 'I_n].
have sorted_list pi : ranks pi x -> sorted ge (list pi).
  move=> pi_x; rewrite /list sorted_map.
  apply: (@sub_sorted _ (fun i k : 'I_n => (i < k)%N)) => [i k ik|].
    by apply: pi_x; rewrite !permKV.
  by rewrite -(@sorted_map _ _ val ltn) val_enum_ord iota_ltn_sorted.
have perm_list pi : perm_eq (list pi) [seq x i | i <- enum 'I_n].
  rewrite /list (map_comp x); apply: perm_map; apply: uniq_perm.
  - by rewrite map_inj_uniq ?enum_uniq //; apply: perm_inj.
  - exact: enum_uniq.
  by move=> i; rewrite mem_enum; apply/mapP; exists (pi i); rewrite ?mem_enum ?permK.
move=> rho_x rho'_x k.
have eq_list : list rho = list rho'.
  apply: (sorted_eq ge_trans ge_anti); rewrite ?sorted_list //.
  by rewrite (perm_trans (perm_list _)) // perm_sym.
have nth_list pi : nth (x k) (list pi) k = x ((pi^-1)%g k).
  by rewrite (nth_map k) ?size_enum_ord // nth_ord_enum.
by rewrite -!nth_list eq_list.
Qed.

(* So a weighted sum in rank order does not depend on how ties are broken.    *)
Lemma ranked_sum_unique {R : realFieldType} n (w : nat -> R) (rho rho' : {perm 'I_n})
    (x : 'I_n -> R) :
  ranks rho x -> ranks rho' x -> \sum_i w (rho i) * x i = \sum_i w (rho' i) * x i.
Proof.
move=> rho_x rho'_x.
rewrite (reindex_inj (@perm_inj _ (rho^-1)%g)) [RHS](reindex_inj (@perm_inj _ (rho'^-1)%g)).
by apply: eq_bigr => k _; rewrite !permKV (ranks_values rho_x rho'_x).
Qed.

(* Rankings can be chosen for all score vectors at once.                      *)
Lemma ranking_choice {R : realFieldType} n :
  exists rho : ('I_n -> R) -> {perm 'I_n}, forall x, ranks (rho x) x.
Proof.
pose ranksb (rho : {perm 'I_n}) (x : 'I_n -> R) :=
  [forall i, forall k, (rho i < rho k)%N ==> (x k <= x i)].
exists (fun x => odflt 1%g [pick rho : {perm 'I_n} | ranksb rho x]) => x i k.
case: pickP => /= [rho /forallP/(_ i)/forallP/(_ k)/implyP //|none].
have [rho rho_x] := ranking_exists x; have /negP[] := negbT (none rho).
by apply/forallP => a; apply/forallP => b; apply/implyP; apply: rho_x.
Qed.
