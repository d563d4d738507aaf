(* Rounding to the nearest float64, and how relative errors add up.           *)

From Coq Require Import Reals ZArith Lia Lra.
From Flocq Require Import Core Relative.

Local Open Scope R_scope.

(* The nearest number with 53 binary digits, ties to the even one, and the    *)
(* unit roundoff. Exponents have no bounds: nothing overflows or underflows.  *)
Definition fl (x : R) : R := round radix2 (FLX_exp 53) ZnearestE x.

Definition u : R := / 9007199254740992.

(* x and y differ by at most a factor 1 - d.                                  *)
Definition near (d x y : R) : Prop := x * (1 - d) <= y /\ y * (1 - d) <= x.

Lemma u_gt0 : 0 < u.
Proof. unfold u; lra. Qed.

Lemma fl_error (x : R) : Rabs (fl x - x) <= u * Rabs x.
Proof.
destruct (relative_error_N_FLX_ex radix2 53 ltac:(lia) (fun z => negb (Z.even z)) x)
  as [e [He Hx]].
unfold fl; rewrite Hx; replace (x * (1 + e) - x) with (e * x) by ring.
rewrite Rabs_mult; apply Rmult_le_compat_r; [apply Rabs_pos |].
apply Rle_trans with (1 := He); unfold u; simpl; lra.
Qed.

(* Integers of at most 53 bits are exact.                                     *)
Lemma fl_integer (z : Z) : (Z.abs z < 2 ^ 53)%Z -> fl (IZR z) = IZR z.
Proof.
intro Hz; apply round_generic; [apply valid_rnd_N |].
apply generic_format_FLX; exists (Float radix2 z 0); [| exact Hz].
unfold F2R; simpl; ring.
Qed.

Lemma error_near (d x y : R) : 0 <= d < 1 -> 0 <= x -> Rabs (y - x) <= d * x -> near d x y.
Proof.
intros Hd Hx Hy; apply Rabs_le_inv in Hy; split; [lra |].
apply Rle_trans with ((x + d * x) * (1 - d)); [apply Rmult_le_compat_r; lra |].
assert (0 <= d * d * x) by (apply Rmult_le_pos; nra); lra.
Qed.

Lemma near_error (d x y : R) : 0 <= d < 1 -> 0 <= x -> near d x y ->
  Rabs (y - x) <= d / (1 - d) * x.
Proof.
intros Hd Hx [H1 H2]; assert (Hq : d / (1 - d) * (1 - d) = d) by (field; lra).
assert (0 <= d / (1 - d)) by (apply Rmult_le_pos; [lra |]; apply Rlt_le, Rinv_0_lt_compat; lra).
apply Rabs_le; split.
  apply Rle_trans with (- (d * x)); [| lra].
  apply Ropp_le_contravar, Rmult_le_compat_r; [exact Hx |].
  nra.
apply Rmult_le_reg_r with (1 - d); [lra |]; nra.
Qed.

Lemma near_refl (d x : R) : 0 <= d -> 0 <= x -> near d x x.
Proof. intros Hd Hx; split; nra. Qed.

Lemma near_gt0 (d x y : R) : d < 1 -> 0 < x -> near d x y -> 0 < y.
Proof. intros Hd Hx [H1 _]; nra. Qed.

Lemma near_weaken (d d' x y : R) : d <= d' -> 0 <= x -> 0 <= y -> near d x y -> near d' x y.
Proof. intros Hd Hx Hy [H1 H2]; split; nra. Qed.

Lemma near_trans (d e x y z : R) : 0 <= d < 1 -> 0 <= e < 1 -> 0 <= x -> 0 <= z ->
  near d x y -> near e y z -> near (d + e) x z.
Proof.
intros Hd He Hx Hz [H1 H2] [H3 H4]; assert (0 <= d * e) by nra; split.
  apply Rle_trans with (y * (1 - e)); [| exact H3].
  apply Rle_trans with (x * (1 - d) * (1 - e)); [nra |].
  apply Rmult_le_compat_r; lra.
apply Rle_trans with (y * (1 - d)); [| exact H2].
apply Rle_trans with (z * (1 - e) * (1 - d)); [nra |].
apply Rmult_le_compat_r; lra.
Qed.

Lemma near_mult (d e x y x' y' : R) : 0 <= d < 1 -> 0 <= e < 1 -> 0 <= x -> 0 <= y ->
  0 <= x' -> 0 <= y' -> near d x x' -> near e y y' -> near (d + e) (x * y) (x' * y').
Proof.
intros Hd He Hx Hy Hx' Hy' Hxx Hyy.
apply near_trans with (x' * y); trivial; try (apply Rmult_le_pos; assumption).
  destruct Hxx as [H1 H2]; split; nra.
destruct Hyy as [H1 H2]; split; nra.
Qed.

Lemma near_inv (d x y : R) : 0 <= d < 1 -> 0 < x -> 0 < y -> near d x y -> near d (/ x) (/ y).
Proof.
intros Hd Hx Hy [H1 H2]; split.
  apply Rmult_le_reg_r with (x * y); [nra |].
  replace (/ x * (1 - d) * (x * y)) with (y * (1 - d)) by (field; lra).
  replace (/ y * (x * y)) with x by (field; lra); exact H2.
apply Rmult_le_reg_r with (x * y); [nra |].
replace (/ y * (1 - d) * (x * y)) with (x * (1 - d)) by (field; lra).
replace (/ x * (x * y)) with y by (field; lra); exact H1.
Qed.

Lemma near_div (d e x y x' y' : R) : 0 <= d < 1 -> 0 <= e < 1 -> 0 <= x -> 0 < y ->
  0 <= x' -> 0 < y' -> near d x x' -> near e y y' -> near (d + e) (x / y) (x' / y').
Proof.
intros Hd He Hx Hy Hx' Hy' Hxx Hyy; apply near_mult; trivial.
- apply Rlt_le, Rinv_0_lt_compat; exact Hy.
- apply Rlt_le, Rinv_0_lt_compat; exact Hy'.
- apply near_inv; assumption.
Qed.

Lemma near_add (d x y x' y' : R) : near d x x' -> near d y y' -> near d (x + y) (x' + y').
Proof. intros [H1 H2] [H3 H4]; split; lra. Qed.

Lemma fl_ge0 (x : R) : 0 <= x -> 0 <= fl x.
Proof.
intro Hx; pose proof (fl_error x) as H; rewrite (Rabs_pos_eq x Hx) in H.
apply Rabs_le_inv in H; pose proof u_gt0; assert (u < 1) by (unfold u; lra); nra.
Qed.

Lemma fl_near (d x y : R) : 0 <= d < 1 -> 0 <= x -> 0 <= y -> near d x y -> near (d + u) x (fl y).
Proof.
intros Hd Hx Hy Hxy; assert (0 <= u < 1) by (unfold u; lra).
apply near_trans with y; trivial; [apply fl_ge0; exact Hy |].
apply error_near; [lra | exact Hy |].
pose proof (fl_error y) as H'; rewrite (Rabs_pos_eq y Hy) in H'; exact H'.
Qed.
