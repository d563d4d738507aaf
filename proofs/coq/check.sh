#!/bin/sh
# Compiles the proofs and checks that nothing is assumed.
#   exit 0: every theorem is proved, the last line says how many
#   exit 1: a proof fails, a theorem is missing, or something is assumed
#   exit 3: Coq or Mathematical Components is not installed

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

what="formal proofs"
packages="coq libcoq-mathcomp-ssreflect libcoq-mathcomp-fingroup libcoq-mathcomp-algebra"

cd "$(dirname "$0")" || exit 1
. ../checking.sh
copied ./*.v _CoqProject Makefile
has mathcomp 'From mathcomp Require all_ssreflect all_fingroup all_algebra.'
read_theorems

make -s -j2 compile || fail "a proof does not compile"

inspected OrderDP OrderDP
if grep -vx 'Closed under the global context' assumptions.log; then
  fail "a theorem rests on the assumptions above"
fi
[ "$(wc -l <assumptions.log)" -eq "$count" ] || fail "not every theorem was inspected"

checked_again OrderDP $(for file in ./*.v; do basename "$file" .v; done)

version=$(coqc --version | sed -n 's/.*version \([0-9.]*\).*/\1/p')
echo "formal proofs: $count theorems proved by Coq $version, none rests on an assumption"
