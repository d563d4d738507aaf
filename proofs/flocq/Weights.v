(* The rounding error of the weights gamma_j: sums of products of ratios.     *)

From Coq Require Import Reals ZArith Lia Lra.
From Flocq Require Import Raux.
From OrderDPFloat Require Import Rounding.

Local Open Scope R_scope.

(* p k + p (k + 1) + ... of m terms, and the last step of the code: a tail    *)
(* over the whole sum, times s / n.                                           *)
Fixpoint sum_from (p : nat -> R) (k m : nat) : R :=
  match m with O => 0 | S m => p k + sum_from p (S k) m end.

Definition weight (n s : Z) (tail total : R) : R :=
  fl (fl (tail / total) * fl (IZR s / IZR n)).

Lemma sum_from_ge0 (p : nat -> R) : (forall i, 0 < p i) -> forall m k, 0 <= sum_from p k m.
Proof.
intros Hp m; induction m as [| m IH]; intro k; simpl; [lra |].
specialize (Hp k); specialize (IH (S k)); lra.
Qed.

Lemma sum_from_gt0 (p : nat -> R) k m : (forall i, 0 < p i) -> (0 < m)%nat -> 0 < sum_from p k m.
Proof.
intros Hp Hm; destruct m as [| m]; [lia |]; simpl.
pose proof (sum_from_ge0 p Hp m (S k)); specialize (Hp k); lra.
Qed.

Lemma weight_near (d e : R) (n s : Z) (tail total tail' total' : R) :
  0 <= d < 1 / 4 -> 0 <= e < 1 / 4 -> (0 < s)%Z -> (0 < n)%Z -> 0 <= tail -> 0 < total ->
  0 <= tail' -> 0 < total' -> near d tail tail' -> near e total total' ->
  near (d + e + 3 * u) (tail / total * (IZR s / IZR n)) (weight n s tail' total').
Proof.
intros Hd He Hs Hn Ht HT Ht' HT' Htt HTT; assert (Hu : 0 < u < 1 / 8) by (unfold u; lra).
assert (Hsn : 0 <= IZR s / IZR n).
  apply IZR_lt in Hs, Hn; apply Rlt_le, Rmult_lt_0_compat; [exact Hs |].
  apply Rinv_0_lt_compat; exact Hn.
assert (Hq : 0 <= tail' / total').
  apply Rmult_le_pos; [exact Ht' | apply Rlt_le, Rinv_0_lt_compat; exact HT'].
assert (Hq0 : 0 <= tail / total).
  apply Rmult_le_pos; [exact Ht | apply Rlt_le, Rinv_0_lt_compat; exact HT].
replace (d + e + 3 * u) with (d + e + u + (0 + u) + u) by ring.
unfold weight; apply fl_near; [lra | apply Rmult_le_pos; assumption | |].
  apply Rmult_le_pos; apply fl_ge0; assumption.
apply near_mult; try lra; try (apply fl_ge0; assumption).
  apply fl_near; try lra; apply near_div; try lra; assumption.
apply fl_near; try lra; apply near_refl; lra.
Qed.

(* ************************************************************************** *)
(* The scan in plain float64                                                  *)
(* ************************************************************************** *)

(* The ratio of neighbouring terms is one of integers that are exact.         *)
Theorem ratio_exact (n s q j : Z) :
  (0 < q < s)%Z -> (s <= n)%Z -> (n < 2 ^ 27)%Z -> (q <= j < n - s + q)%Z ->
  fl (IZR j * IZR (n - s + q - j)) = IZR (j * (n - s + q - j)) /\
  fl (IZR (j - q + 1) * IZR (n - 1 - j)) = IZR ((j - q + 1) * (n - 1 - j)).
Proof.
intros Hq Hs Hn Hj; assert (exact : forall x y, (0 <= x)%Z -> (0 <= y)%Z -> (x + y < 2 ^ 27)%Z ->
    fl (IZR x * IZR y) = IZR (x * y)).
  intros x y Hx Hy Hxy; rewrite <- mult_IZR; apply fl_integer.
  rewrite Z.abs_eq by (apply Z.mul_nonneg_nonneg; assumption).
  assert (4 * (x * y) <= (x + y) * (x + y))%Z.
    clear; pose proof (Z.square_nonneg (x - y)); lia.
  assert ((x + y) * (x + y) <= 2 ^ 27 * 2 ^ 27)%Z by (apply Z.mul_le_mono_nonneg; lia).
  lia.
split; apply exact; lia.
Qed.

Fixpoint exact_term (a b : nat -> Z) (k : nat) : R :=
  match k with O => 1 | S k => exact_term a b k * (IZR (a k) / IZR (b k)) end.

Fixpoint plain_term (a b : nat -> Z) (k : nat) : R :=
  match k with O => 1 | S k => fl (plain_term a b k * fl (IZR (a k) / IZR (b k))) end.

Fixpoint plain_sum (p : nat -> R) (k m : nat) : R :=
  match m with O => 0 | S m => fl (plain_sum p (S k) m + p k) end.

Lemma exact_term_gt0 a b : (forall i, 0 < a i)%Z -> (forall i, 0 < b i)%Z ->
  forall k, 0 < exact_term a b k.
Proof.
intros Ha Hb k; induction k as [| k IH]; simpl; [lra |].
apply Rmult_lt_0_compat; [exact IH |]; specialize (Ha k); specialize (Hb k).
apply IZR_lt in Ha, Hb; apply Rmult_lt_0_compat; [exact Ha | apply Rinv_0_lt_compat; exact Hb].
Qed.

(* Two roundings a term, the ratio's and the product's.                       *)
Lemma plain_term_near a b : (forall i, 0 < a i)%Z -> (forall i, 0 < b i)%Z ->
  forall k, 2 * INR k * u < 1 / 8 -> near (2 * INR k * u) (exact_term a b k) (plain_term a b k).
Proof.
intros Ha Hb; assert (Hu : 0 < u < 1 / 8) by (unfold u; lra).
induction k as [| k IH]; intro Hk.
  simpl; rewrite Rmult_0_r, Rmult_0_l; apply near_refl; lra.
rewrite S_INR in *; pose proof (pos_INR k) as Hk0.
assert (Hk' : 0 <= 2 * INR k * u < 1 / 8) by (split; [| lra]; apply Rmult_le_pos; lra).
specialize (IH (proj2 Hk')); pose proof (exact_term_gt0 a b Ha Hb k) as Hp.
assert (Hp' : 0 < plain_term a b k) by (apply near_gt0 with (3 := IH); lra).
specialize (Ha k); specialize (Hb k); apply IZR_lt in Ha, Hb.
assert (Hr : 0 <= IZR (a k) / IZR (b k)).
  apply Rlt_le, Rmult_lt_0_compat; [exact Ha | apply Rinv_0_lt_compat; exact Hb].
replace (2 * (INR k + 1) * u) with (2 * INR k * u + (0 + u) + u) by ring.
simpl; apply fl_near; [lra | apply Rmult_le_pos; lra | |].
  apply Rmult_le_pos; [lra | apply fl_ge0; exact Hr].
apply near_mult; try lra; [apply fl_ge0; exact Hr | exact IH |].
apply fl_near; try lra; apply near_refl; lra.
Qed.

(* One rounding more for every addition.                                      *)
Lemma plain_sum_near (d : R) (p p' : nat -> R) : 0 <= d < 1 / 8 -> (forall i, 0 < p i) ->
  forall m k, INR m * u < 1 / 8 ->
  (forall i, (k <= i < k + m)%nat -> 0 <= p' i /\ near d (p i) (p' i)) ->
  0 <= plain_sum p' k m /\ near (d + INR m * u) (sum_from p k m) (plain_sum p' k m).
Proof.
intros Hd Hp; assert (Hu : 0 < u < 1 / 8) by (unfold u; lra).
induction m as [| m IH]; intros k Hm Hpp.
  simpl; split; [lra |]; split; lra.
rewrite S_INR in *; pose proof (pos_INR m) as Hm0.
assert (Hm' : 0 <= INR m * u < 1 / 8) by (split; [| lra]; apply Rmult_le_pos; lra).
destruct (IH (S k) (proj2 Hm')) as [H0 H1]; [intros i Hi; apply Hpp; lia |].
destruct (Hpp k) as [H2 H3]; [lia |].
pose proof (sum_from_ge0 p Hp m (S k)) as H4; pose proof (Hp k) as H5.
simpl; split; [apply fl_ge0; lra |].
replace (d + (INR m + 1) * u) with (d + INR m * u + u) by ring.
apply fl_near; try lra; rewrite (Rplus_comm (p k)); apply near_add; [exact H1 |].
apply near_weaken with (4 := H3); lra.
Qed.

(* The weights from N terms in plain float64: (6 N + 3) u at most. This grows *)
(* with the window; double-double sums and products are there to prevent it.  *)
Theorem plain_scan (a b : nat -> Z) (n s : Z) (N k : nat) :
  (forall i, 0 < a i)%Z -> (forall i, 0 < b i)%Z -> (0 < s)%Z -> (0 < n)%Z ->
  (k < N)%nat -> 2 * INR N * u < 1 / 16 ->
  let p := exact_term a b in
  let p' := plain_term a b in
  near ((6 * INR N + 3) * u)
    (sum_from p k (N - k) / sum_from p 0 N * (IZR s / IZR n))
    (weight n s (plain_sum p' k (N - k)) (plain_sum p' 0 N)).
Proof.
intros Ha Hb Hs Hn Hk HN p p'; assert (Hu : 0 < u < 1 / 8) by (unfold u; lra).
pose proof (pos_INR N) as HN0; assert (Hp := exact_term_gt0 a b Ha Hb : forall i, 0 < p i).
assert (Hd : 0 <= 2 * INR N * u) by (apply Rmult_le_pos; lra).
assert (Hpp : forall i, (i < N)%nat -> 0 <= p' i /\ near (2 * INR N * u) (p i) (p' i)).
  intros i Hi; assert (HiN : INR i <= INR N) by (apply le_INR; lia).
  assert (Hi0 := pos_INR i).
  assert (HiN' : INR i * u <= INR N * u) by (apply Rmult_le_compat_r; lra).
  assert (Hi1 : 0 <= INR i * u) by (apply Rmult_le_pos; lra).
  assert (near (2 * INR i * u) (p i) (p' i)) as Hn' by (apply plain_term_near; trivial; lra).
  assert (Hp' : 0 < p' i) by (apply near_gt0 with (3 := Hn'); [lra | apply Hp]).
  split; [lra |]; apply near_weaken with (4 := Hn'); try lra; apply Rlt_le, Hp.
assert (Hsum : forall l m, (l + m <= N)%nat ->
    0 <= plain_sum p' l m /\ near (3 * INR N * u) (sum_from p l m) (plain_sum p' l m)).
  intros l m Hlm; assert (HmN : INR m <= INR N) by (apply le_INR; lia).
  assert (Hm0 := pos_INR m).
  assert (HmN' : INR m * u <= INR N * u) by (apply Rmult_le_compat_r; lra).
  destruct (plain_sum_near (2 * INR N * u) p p') with (m := m) (k := l) as [H0 H1];
    try lra; trivial.
    intros i Hi; apply Hpp; lia.
  split; [exact H0 |]; apply near_weaken with (4 := H1); try lra; apply sum_from_ge0; exact Hp.
destruct (Hsum k (N - k)%nat) as [H0 H1]; [lia |].
destruct (Hsum O N) as [H2 H3]; [lia |].
assert (HT : 0 < sum_from p 0 N) by (apply sum_from_gt0; [exact Hp | lia]).
assert (HT' : 0 < plain_sum p' 0 N) by (apply near_gt0 with (3 := H3); lra).
replace ((6 * INR N + 3) * u) with (3 * INR N * u + 3 * INR N * u + 3 * u) by ring.
apply weight_near; try lra; trivial; apply sum_from_ge0; exact Hp.
Qed.

(* ************************************************************************** *)
(* The code's scan, in double-double                                          *)
(* ************************************************************************** *)

(* A positive number as the sum of two float64, and how the last product and  *)
(* the last sum of a scan are rounded to one float64.                         *)
Definition double_double (hi lo : R) : Prop := 0 < hi /\ Rabs lo <= u * hi.

Definition multiply_rounded (x0 x1 y0 y1 : R) : R :=
  fl (fl (x0 * y0) + fl (fl (x0 * y1) + fl (x1 * y0))).

Definition add_rounded (x0 x1 y0 y1 : R) : R := fl (fl (x0 + y0) + fl (x1 + y1)).

Lemma double_double_gt0 x0 x1 : double_double x0 x1 -> 0 < x0 + x1.
Proof.
intros [H0 H1]; apply Rabs_le_inv in H1; assert (u < 1 / 8) by (unfold u; lra); nra.
Qed.

(* Rounding a number that is within e of y.                                   *)
Lemma fl_of_close (d y z : R) : 0 <= d < 1 / 4 -> 0 < y -> Rabs (z - y) <= d * y ->
  0 < fl z /\ near (d + u) y (fl z).
Proof.
intros Hd Hy Hz; assert (Hn : near d y z) by (apply error_near; lra).
assert (Hz0 : 0 < z) by (apply near_gt0 with (3 := Hn); lra).
assert (Hf : near (d + u) y (fl z)) by (apply fl_near; try lra; assumption).
assert (u < 1 / 8) by (unfold u; lra).
split; [apply near_gt0 with (3 := Hf); lra | exact Hf].
Qed.

Theorem multiply_rounded_near (x0 x1 y0 y1 : R) : double_double x0 x1 -> double_double y0 y1 ->
  0 < multiply_rounded x0 x1 y0 y1 /\
  near (2 * u + 9 * u ^ 2) ((x0 + x1) * (y0 + y1)) (multiply_rounded x0 x1 y0 y1).
Proof.
intros Hx Hy; assert (Hxy : 0 < (x0 + x1) * (y0 + y1)).
  apply Rmult_lt_0_compat; apply double_double_gt0; assumption.
destruct Hx as [Hx0 Hx1]; destruct Hy as [Hy0 Hy1].
assert (HX : 0 < x0 * y0) by (apply Rmult_lt_0_compat; assumption).
set (X := x0 * y0) in *; assert (Hu := u_gt0).
assert (A1 : Rabs (x0 * y1) <= u * X).
  rewrite Rabs_mult, (Rabs_pos_eq x0) by lra; unfold X.
  apply Rle_trans with (x0 * (u * y0)); [apply Rmult_le_compat_l; lra | right; ring].
assert (A2 : Rabs (x1 * y0) <= u * X).
  rewrite Rabs_mult, (Rabs_pos_eq y0) by lra; unfold X.
  apply Rle_trans with (u * x0 * y0); [apply Rmult_le_compat_r; lra | right; ring].
assert (A3 : Rabs (x1 * y1) <= u * (u * X)).
  rewrite Rabs_mult; unfold X; apply Rle_trans with (u * x0 * (u * y0)); [| right; ring].
  apply Rmult_le_compat; trivial; apply Rabs_pos.
pose proof (fl_error X) as E0; rewrite (Rabs_pos_eq X) in E0 by lra.
pose proof (fl_error (x0 * y1)) as E1; pose proof (fl_error (x1 * y0)) as E2.
set (c1 := fl (x0 * y1)) in *; set (c2 := fl (x1 * y0)) in *.
pose proof (fl_error (c1 + c2)) as E3; set (c := fl (c1 + c2)) in *; set (A := fl X) in *.
assert (E1' : Rabs (c1 - x0 * y1) <= u * (u * X)).
  apply Rle_trans with (1 := E1); apply Rmult_le_compat_l; lra.
assert (E2' : Rabs (c2 - x1 * y0) <= u * (u * X)).
  apply Rle_trans with (1 := E2); apply Rmult_le_compat_l; lra.
assert (E3' : Rabs (c - (c1 + c2)) <= u * (2 * (u * X) + 2 * (u * (u * X)))).
  apply Rle_trans with (1 := E3); apply Rmult_le_compat_l; [lra |].
  apply Rabs_le_inv in A1, A2, E1', E2'; apply Rabs_le; lra.
replace (2 * u + 9 * u ^ 2) with (u + 9 * u ^ 2 + u) by ring.
unfold multiply_rounded; fold X; fold A; fold c1; fold c2; fold c.
apply fl_of_close; [unfold u; lra | exact Hxy |].
apply Rabs_le_inv in E0, A1, A2, A3, E1', E2', E3'.
replace ((x0 + x1) * (y0 + y1)) with (X + x0 * y1 + x1 * y0 + x1 * y1) by (unfold X; ring).
unfold u in *; apply Rabs_le; lra.
Qed.

Theorem add_rounded_near (x0 x1 y0 y1 : R) : double_double x0 x1 -> double_double y0 y1 ->
  0 < add_rounded x0 x1 y0 y1 /\
  near (2 * u + 9 * u ^ 2) ((x0 + x1) + (y0 + y1)) (add_rounded x0 x1 y0 y1).
Proof.
intros Hx Hy; assert (Hxy : 0 < (x0 + x1) + (y0 + y1)).
  apply Rplus_lt_0_compat; apply double_double_gt0; assumption.
destruct Hx as [Hx0 Hx1]; destruct Hy as [Hy0 Hy1]; assert (Hu := u_gt0).
set (S := x0 + y0); assert (HS : 0 < S) by (unfold S; lra).
pose proof (fl_error S) as E0; rewrite (Rabs_pos_eq S) in E0 by lra.
pose proof (fl_error (x1 + y1)) as E1; set (A := fl S) in *; set (c := fl (x1 + y1)) in *.
assert (A1 : Rabs (x1 + y1) <= u * S).
  apply Rabs_le_inv in Hx1, Hy1; apply Rabs_le; unfold S; lra.
assert (E1' : Rabs (c - (x1 + y1)) <= u * (u * S)).
  apply Rle_trans with (1 := E1); apply Rmult_le_compat_l; lra.
replace (2 * u + 9 * u ^ 2) with (u + 9 * u ^ 2 + u) by ring.
unfold add_rounded; fold S; fold A; fold c.
apply fl_of_close; [unfold u; lra | exact Hxy |].
apply Rabs_le_inv in E0, A1, E1'.
replace (x0 + x1 + (y0 + y1)) with (S + (x1 + y1)) by (unfold S; ring).
unfold u in *; apply Rabs_le; lra.
Qed.

Lemma sum_from_near (d : R) (p p' : nat -> R) : forall m k,
  (forall i, (k <= i < k + m)%nat -> near d (p i) (p' i)) ->
  near d (sum_from p k m) (sum_from p' k m).
Proof.
induction m as [| m IH]; intros k Hpp; simpl; [split; lra |].
apply near_add; [apply Hpp; lia | apply IH; intros i Hi; apply Hpp; lia].
Qed.

(* The weights as the code computes them: eleven roundings. x and y are the   *)
(* two double-double factors whose product is a term, v and w the two         *)
(* summands that make a tail; their own errors, and what the window leaves    *)
(* out of the exact weight gamma, are hypotheses.                             *)
Theorem weight_error (N k : nat) (n s : Z) (p x0 x1 y0 y1 v0 v1 w0 w1 : nat -> R) (gamma : R) :
  (0 < s)%Z -> (0 < n)%Z -> (k < N)%nat -> (forall i, 0 < p i) -> 0 <= gamma ->
  (forall i, double_double (x0 i) (x1 i) /\ double_double (y0 i) (y1 i)) ->
  (forall i, double_double (v0 i) (v1 i) /\ double_double (w0 i) (w1 i)) ->
  (forall i, near (u * / 2 ^ 23) (p i) ((x0 i + x1 i) * (y0 i + y1 i))) ->
  let p' i := multiply_rounded (x0 i) (x1 i) (y0 i) (y1 i) in
  (forall i, (i < N)%nat ->
     near (u * / 2 ^ 24) (sum_from p' i (N - i)) ((v0 i + v1 i) + (w0 i + w1 i))) ->
  let tail i := add_rounded (v0 i) (v1 i) (w0 i) (w1 i) in
  near (3 / 4 * / 2 ^ 60) gamma
    (sum_from p k (N - k) / sum_from p 0 N * (IZR s / IZR n)) ->
  Rabs (weight n s (tail k) (tail O) - gamma) <= (11 * u + / 2 ^ 60) * gamma /\
  11 * u + / 2 ^ 60 < 13 / 10 ^ 16.
Proof.
intros Hs Hn Hk Hp Hg Hxy Hvw Hterm p' Hsum tail Hwindow; split; [| unfold u; lra].
assert (Hp' : forall i, 0 < p' i /\ near (2 * u + 9 * u ^ 2 + u * / 2 ^ 23) (p i) (p' i)).
{ intro i; destruct (Hxy i) as [Hx Hy].
  destruct (multiply_rounded_near _ _ _ _ Hx Hy) as [H0 H1]; split; [exact H0 |].
  rewrite (Rplus_comm (2 * u + 9 * u ^ 2)).
  apply near_trans with (5 := Hterm i); [unfold u; lra | unfold u; lra | | |].
  - apply Rlt_le, Hp.
  - apply Rlt_le; exact H0.
  - exact H1. }
assert (Htail : forall i, (i < N)%nat -> 0 < tail i /\
    near (4 * u + 18 * u ^ 2 + u * / 2 ^ 23 + u * / 2 ^ 24) (sum_from p i (N - i)) (tail i)).
{ intros i Hi; destruct (Hvw i) as [Hv Hw].
  destruct (add_rounded_near _ _ _ _ Hv Hw) as [H0 H1]; split; [exact H0 |].
  replace (4 * u + 18 * u ^ 2 + u * / 2 ^ 23 + u * / 2 ^ 24) with
    (2 * u + 9 * u ^ 2 + u * / 2 ^ 23 + (u * / 2 ^ 24 + (2 * u + 9 * u ^ 2))) by ring.
  assert (Hge : 0 <= sum_from p' i (N - i)) by (apply sum_from_ge0; intro l; apply Hp').
  apply near_trans with (sum_from p' i (N - i)); try (unfold u; lra).
  - apply sum_from_ge0; exact Hp.
  - apply Rlt_le; exact H0.
  - apply sum_from_near; intros l _; apply Hp'.
  - apply near_trans with (5 := Hsum i Hi); try (unfold u; lra); trivial.
    apply Rlt_le; exact H0. }
destruct (Htail k Hk) as [H0 H1]; destruct (Htail O) as [H2 H3]; [lia |].
rewrite Nat.sub_0_r in H3.
assert (HT : 0 < sum_from p 0 N) by (apply sum_from_gt0; [exact Hp | lia]).
assert (HTk : 0 <= sum_from p k (N - k)) by (apply sum_from_ge0; exact Hp).
set (e := 4 * u + 18 * u ^ 2 + u * / 2 ^ 23 + u * / 2 ^ 24) in *.
assert (He : 0 <= e < 1 / 8) by (unfold e, u; lra).
assert (Hw := weight_near e e n s _ _ (tail k) (tail O) ltac:(lra) ltac:(lra) Hs Hn HTk HT
  (Rlt_le _ _ H0) H2 H1 H3).
assert (Hw0 : 0 <= weight n s (tail k) (tail O)).
  apply fl_ge0, Rmult_le_pos; apply fl_ge0.
    apply Rmult_le_pos; [lra | apply Rlt_le, Rinv_0_lt_compat; exact H2].
  apply IZR_lt in Hs, Hn; apply Rmult_le_pos; [lra | apply Rlt_le, Rinv_0_lt_compat; exact Hn].
set (d := 3 / 4 * / 2 ^ 60 + (e + e + 3 * u)).
assert (Hd : 0 <= d < 1 / 2) by (unfold d, e, u; lra).
assert (Hnear : near d gamma (weight n s (tail k) (tail O))).
  apply near_trans with (5 := Hwindow); trivial; unfold e, u; lra.
apply Rle_trans with (d / (1 - d) * gamma); [apply near_error; trivial; lra |].
apply Rmult_le_compat_r; [exact Hg |]; apply Rmult_le_reg_r with (1 - d); [lra |].
replace (d / (1 - d) * (1 - d)) with d by (field; lra).
unfold d, e, u; lra.
Qed.
