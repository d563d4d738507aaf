(* Ties broken by a uniformly random ranking.                                 *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Rearrangement Inclusion.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* All rankings of the scores x: one for each way to break the ties.          *)
Definition rankings {R : realFieldType} {n : nat} (x : 'I_n -> R) : {set {perm 'I_n}} :=
  [set rho : {perm 'I_n} | [forall i, forall k, (rho i < rho k)%N ==> (x k <= x i)]].

Lemma rankingsP {R : realFieldType} n (x : 'I_n -> R) (rho : {perm 'I_n}) :
  reflect (ranks rho x) (rho \in rankings x).
Proof.
rewrite inE; apply: (iffP forallP) => [rho_x i k|rho_x i].
  by move/forallP: (rho_x i) => /(_ k)/implyP.
by apply/forallP => k; apply/implyP; apply: rho_x.
Qed.

(* The samples with a larger score than i, and those with the same.           *)
Definition ahead {R : realFieldType} {n : nat} (x : 'I_n -> R) (i : 'I_n) : {set 'I_n} :=
  [set k | x i < x k].

Definition tied {R : realFieldType} {n : nat} (x : 'I_n -> R) (i : 'I_n) : {set 'I_n} :=
  [set k | x k == x i].

(* The places that tied samples share.                                        *)
Definition tied_places {R : realFieldType} {n : nat} (x : 'I_n -> R) (i : 'I_n) :
    {set 'I_n} :=
  [set j : 'I_n | (#|ahead x i| <= j < #|ahead x i| + #|tied x i|)%N].

Lemma card_places_le n (rho : {perm 'I_n}) (A : {set 'I_n}) (m : nat) :
  (m <= n)%N -> (forall k, k \in A -> (rho k < m)%N) -> (#|A| <= m)%N.
Proof.
move=> mn Am; rewrite -(card_imset _ (@perm_inj _ rho)) -[X in (_ <= X)%N](card_below mn).
by apply: subset_leq_card; apply/subsetP => j /imsetP[k /Am km ->]; rewrite inE.
Qed.

Lemma card_places_ge n (rho : {perm 'I_n}) (A : {set 'I_n}) (m : nat) :
  (m <= n)%N -> (forall k, (rho k < m)%N -> k \in A) -> (m <= #|A|)%N.
Proof.
move=> mn Am; rewrite -{1}(card_below mn) -(card_preimset _ (@perm_inj _ rho)).
by apply: subset_leq_card; apply/subsetP => k; rewrite !inE => /Am.
Qed.

Lemma ranks_tied {R : realFieldType} n (x : 'I_n -> R) (rho : {perm 'I_n}) i :
  ranks rho x -> rho @: tied x i = tied_places x i.
Proof.
move=> rho_x; have anti (k l : 'I_n) : x k < x l -> (rho l < rho k)%N.
  move=> kl; rewrite ltn_neqAle leqNgt; apply/andP; split.
    by apply: contraTneq kl => /val_inj/perm_inj->; rewrite ltxx.
  by apply: contraTN kl => /rho_x; rewrite leNgt.
have cardU : #|ahead x i :|: tied x i| = (#|ahead x i| + #|tied x i|)%N.
  rewrite cardsU (_ : _ :&: _ = set0) ?cards0 ?subn0 //; apply/setP => k; rewrite !inE.
  by case: ltgtP.
have sub : rho @: tied x i \subset tied_places x i.
  apply/subsetP => j /imsetP[k]; rewrite inE => /eqP ki ->; rewrite inE.
  apply/andP; split.
    apply: (card_places_le (rho := rho)); first exact: ltnW.
    by move=> l; rewrite inE -ki; apply: anti.
  rewrite -cardU; apply: (card_places_ge (rho := rho)) => [|l]; first exact: ltn_ord.
  rewrite ltnS leq_eqVlt => /predU1P[/val_inj/perm_inj->|/rho_x]; rewrite !inE -ki.
    by rewrite eqxx orbT.
  by rewrite le_eqVlt eq_sym orbC.
apply/eqP; rewrite eqEcard sub (card_imset _ (@perm_inj _ rho)) /=.
have room : (#|ahead x i| + #|tied x i| <= n)%N.
  by rewrite -cardU -[X in (_ <= X)%N](card_ord n) max_card.
pose A := [set j : 'I_n | (j < #|ahead x i| + #|tied x i|)%N].
pose B := [set j : 'I_n | (j < #|ahead x i|)%N].
have -> : tied_places x i = A :\: B by apply/setP => j; rewrite !inE -leqNgt.
rewrite cardsD (setIidPr _) ?card_below //; first by rewrite addKn.
  exact: leq_trans (leq_addr _ _) room.
by apply/subsetP => j; rewrite !inE => /leq_trans; apply; apply: leq_addr.
Qed.

(* Swapping two tied samples maps rankings to rankings, so they have the same *)
(* mean weight; together they always have the weights of the places they      *)
(* share.                                                                     *)
Theorem random_ties {R : realFieldType} :
  forall (n s q : nat) (x : 'I_n -> R) (i : 'I_n),
  (q <= s)%N -> (s <= n)%N ->
  mean (rankings x) (fun rho => Pr (candidates n s) (fun S => i \in top_by rho q S) : R^o)
  = mean (tied_places x i) (fun j : 'I_n => gamma n s q j.+1 : R^o).
Proof.
move=> n s q x i qs sn; pose w (j : 'I_n) : R := gamma n s q j.+1.
rewrite (@eq_mean R _ [lmodType R of R^o] _ _ (fun rho : {perm 'I_n} => w (rho i))); last first.
  by move=> rho _; rewrite Pr_top_by.
have [rho0 rho0_x] := ranking_exists x.
have X_gt0 : (0 < #|rankings x|)%N by apply/card_gt0P; exists rho0; apply/rankingsP.
pose total k := \sum_(rho in rankings x) w (rho k).
have swap k : k \in tied x i -> total k = total i.
  rewrite inE => /eqP ki; rewrite /total.
  rewrite (reindex_inj (mulgI (tperm i k))) /=; apply: eq_big => [rho|rho _]; last first.
    by rewrite permM tpermR.
  apply/rankingsP/rankingsP => rho_x a b.
    have := rho_x (tperm i k a) (tperm i k b); rewrite !permM !tpermK.
    by do 2!case: tpermP => [->|->|_ _]; rewrite ?ki.
  have := rho_x (tperm i k a) (tperm i k b); rewrite !permM.
  by do 2!case: tpermP => [->|->|_ _]; rewrite ?ki.
have i_tied : i \in tied x i by rewrite inE.
have cardT : #|tied_places x i| = #|tied x i|.
  by rewrite -(ranks_tied i rho0_x) (card_imset _ (@perm_inj _ rho0)).
have T0 : #|tied x i|%:R != 0 :> R.
  by rewrite pnatr_eq0 -lt0n; apply/card_gt0P; exists i.
have X0 : #|rankings x|%:R != 0 :> R by rewrite pnatr_eq0 -lt0n.
have both : #|tied x i|%:R * total i
            = #|rankings x|%:R * \sum_(j in tied_places x i) w j.
  have <- : \sum_(k in tied x i) total k = #|tied x i|%:R * total i.
    by rewrite mulr_natl -sumr_const; apply: eq_bigr.
  rewrite exchange_big mulr_natl -sumr_const; apply: eq_bigr => rho /rankingsP rho_x.
  by rewrite -(ranks_tied i rho_x) big_imset //=; apply: in2W; apply: perm_inj.
rewrite /mean cardT /GRing.scale /= -/(total i).
apply: (mulfI X0); rewrite mulVKf // mulrCA -both mulKf //.
Qed.
