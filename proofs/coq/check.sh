#!/bin/sh
# Compiles the proofs and checks that nothing is assumed.
#   exit 0: every theorem is proved, the last line says how many
#   exit 1: a proof fails, a theorem is missing, or something is assumed
#   exit 3: Coq or Mathematical Components is not installed
# Works on a copy in a temporary directory: no compiled file is left here.

set -u

# Every theorem, by name: none may vanish with its file (a test compares the index).
required="card_top_by top_by_before ranking_exists hypergeometric_correct gamma_all_terms
  inclusion_probability inclusion_sum inclusion_hypergeometric inclusion_plateau sgd_case
  inclusion_step inclusion_antitone inclusion_support joint_inclusion unbiased unbiased_stale
  unbiased_for_mean_iff unbiased_for_all_iff_sgd surrogate_max surrogate_convex
  surrogate_weakly_convex surrogate_subgradient stale_not_surrogate_subgradient
  never_unbiased_is_false gap_nonneg gap_chi gap_tv chi_le tv_le sandwich_cvar cvar_least
  estimator_variance keep_probability2_correct horvitz_thompson_variance
  keep_probability_correct keep_probability_gt0 horvitz_thompson_unbiased random_ties
  rank_design_probability rank_design_convex_iff beta_limit_derivative beta_limit window_tail
  theorem3 theorem3_average theorem3_best_iterate theorem3_best_step theorem3_epoch
  stale_penalty score_error_mean theorem3_score_error theorem3_stale theorem3_age
  stale_impossible stored_run_exists transfer transfer_convergence theorem4_counterexample
  mean_hit_steps stability stability_fresh stable_generalization surrogate_risk_mean
  population_bound bounded_differences corrected_theorem4 symmetrization
  corrected_excess gap_nonnegative theorem3_no_pruning"

packages="coq libcoq-mathcomp-ssreflect libcoq-mathcomp-fingroup libcoq-mathcomp-algebra"

fail() { echo "formal proofs: FAILED: $*" >&2; exit 1; }
missing() {
  echo "formal proofs: SKIPPED: $1 is missing; install Debian's packages $packages" >&2
  exit 3
}

cd "$(dirname "$0")" || exit 1
command -v coqc >/dev/null || missing coqc
command -v coqchk >/dev/null || missing coqchk

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cp ./*.v _CoqProject Makefile "$work" && cd "$work" || exit 1

mkdir probe && echo 'From mathcomp Require all_ssreflect all_fingroup all_algebra.' >probe/probe.v
coqc probe/probe.v >probe/log 2>&1 || missing "the Coq library mathcomp"

# Words that assume something, or leave something unproved. They are refused even inside a
# Section, where some would be harmless, so that every statement stands alone.
words='Admitted|admit|give_up|Abort|Axioms?|Parameters?|Conjectures?|Hypothes[ie]s|Variables?'
words="$words|Context|Unset +(Guard|Positivity|Universe) +Check(ing|ed)|bypass_check"
if grep -nwE "$words" ./*.v; then
  fail "the lines above assume something instead of proving it"
fi

theorems=$(sed -nE 's/^Theorem +([A-Za-z0-9_]+).*/\1/p' ./*.v)
for name in $required; do
  echo "$theorems" | grep -qx "$name" || fail "theorem $name is missing"
done

[ -z "$(echo "$theorems" | sort | uniq -d)" ] || fail "two theorems have one name"

make -s -j2 compile || fail "a proof does not compile"

# Coq's own account of what each theorem rests on.
{
  echo 'From OrderDP Require Import OrderDP.'
  for name in $theorems; do echo "Print Assumptions $name."; done
} >Assumptions.v
coqc -Q . OrderDP Assumptions.v >assumptions.log 2>&1 ||
  { cat assumptions.log >&2; fail "a theorem cannot be inspected"; }
if grep -vx 'Closed under the global context' assumptions.log; then
  fail "a theorem rests on the assumptions above"
fi
count=$(echo "$theorems" | wc -l)
[ "$(wc -l <assumptions.log)" -eq "$count" ] || fail "not every theorem was inspected"

# A second, independent checker reads the compiled proofs again.
norec=$(for file in ./*.v; do printf ' -norec OrderDP.%s' "$(basename "$file" .v)"; done)
coqchk -silent -Q . OrderDP $norec >coqchk.log 2>&1 ||
  { tail -5 coqchk.log >&2; fail "coqchk rejects the compiled proofs"; }

version=$(coqc --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
echo "formal proofs: $count theorems proved by Coq $version, none rests on an assumption"
