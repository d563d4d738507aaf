(* The limit for a growing population is a tail of the Beta distribution, and *)
(* the inclusion probabilities approach it at the rate 1 / n.                 *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From OrderDP Require Import Counting Expectation Ranking Inclusion.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.POrderTheory Order.TotalTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* Less than q successes in D draws, each with probability X.                 *)
Definition binomial_below {R : realFieldType} (D q : nat) : {poly R} :=
  \sum_(l < q) 'C(D, l)%:R *: ('X^l * (1 - 'X) ^+ (D - l)).

(* The paper's limit gamma, and the density of the Beta(a, b) distribution.   *)
Definition limit_gamma {R : realFieldType} (s q : nat) : {poly R} :=
  s%:R *: binomial_below (s - 1) q.

Definition beta_density {R : realFieldType} (a b : nat) : {poly R} :=
  ((a + b - 1)`!%:R / ((a - 1)`!%:R * (b - 1)`!%:R)) *: ('X^(a - 1) * (1 - 'X) ^+ (b - 1)).

(* The derivatives of the terms telescope.                                    *)
Lemma deriv_binomial_below {R : realFieldType} D q : (q <= D)%N ->
  (binomial_below D q)^`()
  = - ((q * 'C(D, q))%:R *: ('X^q.-1 * (1 - 'X) ^+ (D - q))) :> {poly R}.
Proof.
rewrite /binomial_below; elim: q => [|q IH] qD.
  by rewrite big_ord0 deriv0 mul0n scale0r oppr0.
have d1X : (1 - 'X)^`() = -1 :> {poly R} by rewrite -{1}polyC1 derivB derivC derivX sub0r.
rewrite big_ord_recr derivD IH 1?ltnW //= derivZ derivM derivXn deriv_exp d1X mulN1r.
rewrite mulNrn mulrN mulrnAl mulrnAr -subnS scalerBr -!scaler_nat !scalerA -!natrM.
by rewrite [('C(D, q) * q)%N]mulnC addrA addNr add0r mul_bin_left mulnC.
Qed.

(* gamma(1) = 0, and -gamma' / s is the Beta(q, s - q) density.               *)
Theorem beta_limit_derivative {R : realFieldType} :
  forall s q : nat, (0 < q < s)%N ->
  (limit_gamma s q).[1] = 0 :> R
  /\ (limit_gamma s q)^`() = - (s%:R *: beta_density q (s - q)) :> {poly R}.
Proof.
move=> s q /andP[q_gt0 qs].
have q_le : (q <= s - 1)%N by rewrite subn1 -ltnS (ltn_predK qs).
split.
  rewrite /limit_gamma hornerZ /binomial_below horner_sum big1 ?mulr0 // => l _.
  rewrite !hornerE !horner_exp !hornerE subrr expr0n subn_eq0 leqNgt.
  by rewrite (leq_trans (ltn_ord l) q_le); apply: mulr0.
rewrite /limit_gamma derivZ deriv_binomial_below // scalerN; congr (- (_ *: _)).
rewrite /beta_density subnKC ?(ltnW qs) // subn1 [in RHS]subnAC subn1.
congr (_ *: _); last by rewrite subn1.
have f0 m : m`!%:R != 0 :> R by rewrite pnatr_eq0 -lt0n fact_gt0.
apply: (canRL (mulfK (mulf_neq0 (f0 _) (f0 _)))); rewrite subn1 -!natrM; congr (_%:R).
have qf : q`! = (q * q.-1`!)%N by rewrite -{1}(prednK q_gt0) factS prednK.
rewrite subn1 in q_le; rewrite -(bin_fact q_le) qf.
by rewrite [(q * 'C(_, _))%N]mulnC -!mulnA.
Qed.

(* Less than q marked ones in D draws without replacement.                    *)
Definition hypergeometric_below {R : realFieldType} (N K D q : nat) : R :=
  \sum_(l < q) hypergeometric N K D l.

(* Given the first draw.                                                      *)
Lemma hypergeometric_step {R : realFieldType} N K D l : (D <= N)%N -> (K <= N.+1)%N ->
  hypergeometric N.+1 K D.+1 l
  = K%:R / N.+1%:R * (if l is l'.+1 then hypergeometric N K.-1 D l' else 0)
    + (N.+1 - K)%:R / N.+1%:R * hypergeometric N K D l :> R.
Proof.
move=> DN KN; have C0 : 'C(N, D)%:R != 0 :> R by rewrite pnatr_eq0 -lt0n bin_gt0.
have N0 : N.+1%:R != 0 :> R by rewrite pnatr_eq0.
have C1 : 'C(N.+1, D.+1)%:R != 0 :> R by rewrite pnatr_eq0 -lt0n bin_gt0.
have diag : N.+1%:R * 'C(N, D)%:R = D.+1%:R * 'C(N.+1, D.+1)%:R :> R.
  by rewrite -!natrM mul_bin_diag.
have frac a c : a%:R / N.+1%:R * (c%:R / 'C(N, D)%:R)
    = (a * c)%:R / (N.+1%:R * 'C(N, D)%:R) :> R by rewrite mulf_div natrM.
have lhs c : c%:R / 'C(N.+1, D.+1)%:R = (D.+1 * c)%:R / (N.+1%:R * 'C(N, D)%:R) :> R.
  by rewrite diag natrM -mulf_div divff ?mul1r // pnatr_eq0.
have MK : ((N.+1 - K).-1 = N - K)%N by rewrite -subn1 subnAC subn1.
rewrite /hypergeometric; case: l => [|l].
  rewrite !leq0n mulr0 add0r lhs frac !bin0 !mul1n !subn0.
  by rewrite -mul_bin_diag MK.
rewrite ltnS; case lD: (l <= D)%N; last first.
  by rewrite (contraFF (@ltnW l D) lD) !mulr0 addr0.
have term1 : K%:R / N.+1%:R * (('C(K.-1, l) * 'C(N - K.-1, D - l))%:R / 'C(N, D)%:R)
    = (l.+1 * 'C(K, l.+1) * 'C(N.+1 - K, D - l))%:R / (N.+1%:R * 'C(N, D)%:R) :> R.
  rewrite frac -mul_bin_diag -mulnA; case: (K) => [|K']; first by rewrite !mul0n.
  by rewrite subSS.
rewrite term1 lhs subSS; case: ltnP => [lD'|Dl].
  rewrite frac -mulrDl -natrD; congr (_%:R / _).
  have := mul_bin_diag (N.+1 - K) (D - l.+1); rewrite MK subnSK // => diag2.
  rewrite [((N.+1 - K) * _)%N]mulnCA diag2.
  rewrite -mulnA [('C(K, _) * ((D - l) * _))%N]mulnCA -mulnDl.
  by rewrite addSn subnKC.
by rewrite mulr0 addr0 -mulnA; have -> : l = D by apply/eqP; rewrite eqn_leq lD.
Qed.

Lemma hypergeometric_below_step {R : realFieldType} N K D q :
  (D <= N)%N -> (K <= N.+1)%N ->
  hypergeometric_below N.+1 K D.+1 q.+1
  = K%:R / N.+1%:R * hypergeometric_below N K.-1 D q
    + (N.+1 - K)%:R / N.+1%:R * hypergeometric_below N K D q.+1 :> R.
Proof.
move=> DN KN; rewrite /hypergeometric_below.
under eq_bigr do rewrite hypergeometric_step //.
rewrite big_split -!mulr_sumr /=; congr (_ * _ + _).
by rewrite big_ord_recl /= add0r.
Qed.

Definition binomial_term {R : realFieldType} (p : R) (D l : nat) : R :=
  'C(D, l)%:R * (p ^+ l * (1 - p) ^+ (D - l)).

Lemma binomial_belowE {R : realFieldType} D q (p : R) :
  (binomial_below D q).[p] = \sum_(l < q) binomial_term p D l.
Proof.
rewrite /binomial_below horner_sum; apply: eq_bigr => l _.
have h1X : (1 - 'X).[p] = 1 - p by rewrite !hornerE.
by rewrite hornerZ hornerM hornerXn horner_exp h1X.
Qed.

Lemma binomial_below_step {R : realFieldType} D q (p : R) :
  (binomial_below D.+1 q.+1).[p]
  = p * (binomial_below D q).[p] + (1 - p) * (binomial_below D q.+1).[p].
Proof.
rewrite !binomial_belowE !big_ord_recl mulrDr addrCA !mulr_sumr -big_split; congr (_ + _).
  by rewrite /binomial_term !bin0 !subn0 !mul1r exprS.
apply: eq_bigr => l _; rewrite /binomial_term /= binS natrD mulrDl addrC subSS.
congr (_ + _); first by rewrite [p ^+ _.+1]exprS -mulrA mulrCA.
case: (ltnP l D) => lD; last by rewrite bin_small // !mul0r mulr0.
rewrite [bump 0 l]/= /bump add1n -(subnSK lD) [(1 - p) ^+ _.+1]exprS.
by rewrite [p ^+ _ * _]mulrCA [LHS]mulrCA.
Qed.

(* A single term is a probability.                                            *)
Lemma binomial_term_bounds {R : realFieldType} (p : R) D l : 0 <= p <= 1 ->
  0 <= binomial_term p D l <= 1.
Proof.
move=> /andP[p0 p1]; have term0 m : 0 <= binomial_term p D m.
  by rewrite !mulr_ge0 ?ler0n ?exprn_ge0 ?subr_ge0.
rewrite term0 /=; case: (leqP l D) => lD; last first.
  by rewrite /binomial_term bin_small // mul0r ler01.
have <- : \sum_(m < D.+1) binomial_term p D m = 1.
  rewrite -[RHS](expr1n _ D) -(subrK p 1) exprDn; apply: eq_bigr => m _.
  by rewrite /binomial_term [p ^+ _ * _]mulrC mulr_natl.
by rewrite (bigD1 (Ordinal (lD : l < D.+1)%N)) //= ler_addl sumr_ge0.
Qed.

(* Step by step, drawing with and without replacement differ only by what the *)
(* earlier draws took out.                                                    *)
Lemma draws_close {R : realFieldType} (p : R) n D N K q i :
  0 <= p <= 1 -> (D <= N)%N -> (K <= N)%N -> n = (N + i.+1)%N ->
  `|K%:R - p * N%:R| <= i.+1%:R ->
  `|hypergeometric_below N K D q - (binomial_below D q).[p]|
  <= \sum_(k < D) 2%:R * (i + k.+1)%:R / n%:R.
Proof.
move=> p01; have /andP[p0 p1] := p01.
elim: D N K q i => [|D IH] N K q i DN KN nE close.
  rewrite big_ord0 binomial_belowE /hypergeometric_below -sumrB big1 ?normr0 // => l _.
  rewrite /binomial_term /hypergeometric leqn0; case: eqP => [->|/eqP l0].
    by rewrite !bin0 !mulr1 divr1 subrr.
  by rewrite bin_small ?mul0r ?subrr // lt0n.
case: q => [|q].
  rewrite binomial_belowE /hypergeometric_below !big_ord0 subrr normr0.
  by apply: sumr_ge0 => k _; rewrite !mulr_ge0 ?invr_ge0 ?ler0n.
case: N DN KN nE close => [//|N] DN KN nE close.
have N0 : 0 < N.+1%:R :> R by rewrite ltr0n.
have n0 : 0 < n%:R :> R by rewrite nE ltr0n.
rewrite hypergeometric_below_step // binomial_below_step big_ord_recl addn1.
set a := K%:R / N.+1%:R; have a01 : 0 <= a <= 1.
  by rewrite /a divr_ge0 ?ler0n //= ler_pdivr_mulr // mul1r ler_nat.
have /andP[a0 a1] := a01.
have -> : (N.+1 - K)%:R / N.+1%:R = 1 - a :> R by rewrite natrB // mulrBl divff ?gt_eqF.
set h1 := hypergeometric_below _ _ _ q; set h2 := hypergeometric_below _ _ _ q.+1.
set b1 := (binomial_below D q).[p]; set b2 := (binomial_below D q.+1).[p].
set e := \sum_(k < D) _.
have -> : a * h1 + (1 - a) * h2 - (p * b1 + (1 - p) * b2)
    = (a - p) * (b1 - b2) + (a * (h1 - b1) + (1 - a) * (h2 - b2)).
  have mix x : x * b1 + (1 - x) * b2 = x * (b1 - b2) + b2.
    by rewrite mulrBr mulrBl mul1r addrA addrAC.
  rewrite [a * (h1 - b1)]mulrBr [(1 - a) * (h2 - b2)]mulrBr addrACA -opprD !mix [(a - p) * _]mulrBl.
  set H := _ + _ * h2; rewrite [RHS]addrC !opprD !addrA.
  by rewrite [H - _ - b2 + _]addrAC subrK addrAC.
apply: le_trans (ler_norm_add _ _) _; apply: ler_add.
  have b01 : `|b1 - b2| <= 1.
    rewrite distrC /b1 /b2 !binomial_belowE big_ord_recr /= addrC addKr.
    by have /andP[t0 t1] := binomial_term_bounds D q p01; rewrite ger0_norm.
  rewrite normrM; apply: (@le_trans _ _ `|a - p|); first by rewrite ler_pimulr.
  rewrite ler_pdivl_mulr //; case: (leqP i.+1 N.+1) => iN.
    have -> : a - p = (K%:R - p * N.+1%:R) / N.+1%:R by rewrite mulrBl mulfK ?gt_eqF.
    have iN0 : 0 <= N.+1%:R^-1 :> R by rewrite invr_ge0 ltW.
    rewrite normrM (ger0_norm iN0) mulrAC ler_pdivr_mulr //.
    apply: (@le_trans _ _ (i.+1%:R * n%:R)); first by apply: (ler_wpmul2r (ltW n0)).
    rewrite -!natrM ler_nat [(2 * _)%N]mulnC -mulnA leq_mul2l; apply/orP; right.
    by rewrite nE mul2n -addnn leq_add2l.
  apply: (@le_trans _ _ (1 * n%:R)).
    apply: (ler_wpmul2r (ltW n0)); rewrite ler_norml ler_subr_addl ler_subl_addr.
    by rewrite (le_trans p1) ?ler_addr //= ler_subl_addr (le_trans a1) ?ler_addl.
  rewrite mul1r -natrM ler_nat nE mul2n -addnn leq_add2r; exact: ltnW.
have eE : e = \sum_(k < D) 2%:R * (i.+1 + k.+1)%:R / n%:R.
  by apply: eq_bigr => k _; rewrite lift0 addSnnS.
apply: le_trans (ler_norm_add _ _) _; rewrite normrM (ger0_norm a0) normrM.
rewrite [`|1 - a|]ger0_norm ?subr_ge0 //.
apply: (@le_trans _ _ (a * e + (1 - a) * e)); last by rewrite -mulrDl addrC subrK mul1r.
apply: ler_add.
  case: (posnP K) => [K0|K_gt0]; first by rewrite /a K0 !mul0r.
  apply: ler_wpmul2l => //; rewrite eE; apply: IH => //.
  - by rewrite -ltnS prednK // ltnW.
  - by rewrite nE !addnS addSn.
  have -> : K.-1%:R - p * N%:R = (K%:R - p * N.+1%:R) + (p - 1).
    have KE : K%:R = K.-1%:R + 1 :> R by rewrite -[in LHS](prednK K_gt0) -addn1 natrD.
    rewrite KE -[N.+1]addn1 natrD mulrDr mulr1 opprD addrACA -addrA.
    by rewrite -[p - 1]opprB subrr addr0.
  apply: le_trans (ler_norm_add _ _) _; rewrite -[i.+2]addn1 natrD ler_add //.
  by rewrite distrC ger0_norm ?subr_ge0 // ler_subl_addr ler_addl.
have [KN'|NK] := leqP K N; last first.
  have KE : K = N.+1 by apply/eqP; rewrite eqn_leq KN.
  by have -> : 1 - a = 0; [rewrite /a KE divff ?subrr ?gt_eqF | rewrite !mul0r].
apply: ler_wpmul2l; first by rewrite subr_ge0.
rewrite eE; apply: IH => //; first by rewrite nE !addnS addSn.
have -> : K%:R - p * N%:R = (K%:R - p * N.+1%:R) + p.
  by rewrite -[N.+1]addn1 natrD mulrDr mulr1 opprD addrA subrK.
apply: le_trans (ler_norm_add _ _) _; rewrite -[i.+2]addn1 natrD ler_add //.
by rewrite ger0_norm.
Qed.

(* Proposition 2 with its error: the first of the s candidates is rank j, the *)
(* other s - 1 are drawn from the n - 1 other samples, j - 1 of them before j.*)
Theorem beta_limit {R : realFieldType} : forall n s q j : nat,
  (q <= s)%N -> (s <= n)%N -> (1 <= j <= n)%N ->
  `|n%:R * gamma n s q j - (limit_gamma s q).[j%:R / n%:R]|
  <= (s ^ 2 * (s - 1))%:R / n%:R :> R.
Proof.
move=> n s q j qs sn jn; have /andP[j_gt0 j_le] := jn.
have n_gt0 : (0 < n)%N by apply: leq_trans j_gt0 j_le.
have n0 : 0 < n%:R :> R by rewrite ltr0n.
set p : R := j%:R / n%:R; have p01 : 0 <= p <= 1.
  by rewrite divr_ge0 ?ler0n //= ler_pdivr_mulr // mul1r ler_nat.
have /andP[p0 p1] := p01.
rewrite inclusion_hypergeometric // mulrA mulrCA divff ?gt_eqF // mulr1.
rewrite /limit_gamma hornerZ -mulrBr normrM ger0_norm ?ler0n //.
rewrite expnS expn1 -mulnA natrM -mulrA; apply: ler_wpmul2l; first by rewrite ler0n.
apply: le_trans (@draws_close R p n (s - 1) (n - 1) (j - 1) q 0 p01 _ _ _ _) _.
- by rewrite leq_sub2r.
- by rewrite leq_sub2r.
- by rewrite addn1 subn1 prednK.
- have -> : (j - 1)%:R - p * (n - 1)%:R = p - 1.
    rewrite !natrB // mulrBr mulr1 /p divfK ?gt_eqF // opprB.
    by rewrite addrC addrA subrK.
  by rewrite distrC ger0_norm ?subr_ge0 // ler_subl_addr ler_addl.
rewrite -mulr_suml -mulr_sumr ler_wpmul2r ?invr_ge0 ?ler0n //.
have gauss (m : nat) : 2%:R * (\sum_(k < m) (0 + k.+1)%:R) = (m.+1 * m)%:R :> R.
  elim: m => [|m IH]; first by rewrite big_ord0 mulr0 muln0.
  by rewrite big_ord_recr mulrDr IH /= add0n -natrM -natrD [(m.+1 * m)%N]mulnC -mulnDl addn2.
rewrite gauss; case: (s) => [|m]; first exact: lexx.
by rewrite subn1.
Qed.
