"""Exact theory of random-then-top data pruning: draw s samples, keep the q of largest loss."""

import orderdp_command as _signals  # noqa: F401  first: it handles them under python -m

# isort: split

from importlib.metadata import version as _version

from orderdp_theory.ball import inclusion_probabilities_ball
from orderdp_theory.choosing import (
    Candidate,
    Choice,
    SurveySample,
    choose,
    error_bound_from_norms,
)
from orderdp_theory.convergence import (
    ConvergenceBound,
    best_step_size,
    convergence_bound,
    ranking_sensitivity,
    stored_score_penalty,
)
from orderdp_theory.design import Design
from orderdp_theory.deviation import (
    chi,
    effective_sample_size,
    spectrum_deviation,
    total_variation,
)
from orderdp_theory.epoch import epoch_bound
from orderdp_theory.estimator import estimator_covariance_trace, estimator_mean
from orderdp_theory.exact import inclusion_probabilities_exact
from orderdp_theory.generalization import (
    CorrectedBound,
    LinearPredictors,
    PrintedBound,
    corrected_bound,
    printed_bound,
)
from orderdp_theory.high_probability import martingale_deviation
from orderdp_theory.horvitz_thompson import (
    horvitz_thompson_covariance_trace,
    horvitz_thompson_inclusion,
    horvitz_thompson_joint,
    horvitz_thompson_weights,
)
from orderdp_theory.impossibility import StoredScoreRun, stored_score_counterexample
from orderdp_theory.inclusion import inclusion_probabilities, joint_inclusion_probabilities
from orderdp_theory.limits import cvar, limit_gamma
from orderdp_theory.nonconvex import (
    NonconvexBound,
    best_nonconvex_step_size,
    nonconvex_bound,
)
from orderdp_theory.pivotal import (
    pivotal_covariance_trace,
    pivotal_joint,
    pivotal_pairs,
    pivotal_sample,
)
from orderdp_theory.poisson import poisson_mean_weights
from orderdp_theory.promise import Guarantee, MeasuredRun, promises
from orderdp_theory.proportional import proportional_inclusion
from orderdp_theory.rank_design import (
    RankDesign,
    is_convex,
    nonconvex_losses,
    rank_design_loss,
    rank_design_probabilities,
    rank_design_weights,
)
from orderdp_theory.ranking import Ranking
from orderdp_theory.risk import (
    UniformDeviation,
    surrogate_deviation,
    surrogate_fluctuation,
    surrogate_risk,
)
from orderdp_theory.sampling import draw_ranks
from orderdp_theory.sandwich import CvarSandwich, cvar_sandwich, sandwich_width
from orderdp_theory.stability import (
    PopulationBound,
    StabilityBound,
    best_population_step_size,
    population_bound,
    stability_bound,
)
from orderdp_theory.staleness import (
    RoundRobin,
    StaleRate,
    round_robin,
    score_error_bound,
    stale_rate,
    staleness_factor,
)
from orderdp_theory.surrogate import surrogate_loss, surrogate_weights
from orderdp_theory.surrogate_gap import Gap, gap
from orderdp_theory.transfer import Transfer, transfer_bound

__version__ = _version("orderdp")

__all__ = [
    "Candidate",
    "Choice",
    "ConvergenceBound",
    "CorrectedBound",
    "CvarSandwich",
    "Design",
    "Gap",
    "Guarantee",
    "LinearPredictors",
    "MeasuredRun",
    "NonconvexBound",
    "PopulationBound",
    "PrintedBound",
    "RankDesign",
    "Ranking",
    "RoundRobin",
    "StabilityBound",
    "StaleRate",
    "StoredScoreRun",
    "SurveySample",
    "Transfer",
    "UniformDeviation",
    "best_nonconvex_step_size",
    "best_population_step_size",
    "best_step_size",
    "chi",
    "choose",
    "convergence_bound",
    "corrected_bound",
    "cvar",
    "cvar_sandwich",
    "draw_ranks",
    "effective_sample_size",
    "epoch_bound",
    "error_bound_from_norms",
    "estimator_covariance_trace",
    "estimator_mean",
    "gap",
    "horvitz_thompson_covariance_trace",
    "horvitz_thompson_inclusion",
    "horvitz_thompson_joint",
    "horvitz_thompson_weights",
    "inclusion_probabilities",
    "inclusion_probabilities_ball",
    "inclusion_probabilities_exact",
    "is_convex",
    "joint_inclusion_probabilities",
    "limit_gamma",
    "martingale_deviation",
    "nonconvex_bound",
    "nonconvex_losses",
    "pivotal_covariance_trace",
    "pivotal_joint",
    "pivotal_pairs",
    "pivotal_sample",
    "poisson_mean_weights",
    "population_bound",
    "printed_bound",
    "promises",
    "proportional_inclusion",
    "rank_design_loss",
    "rank_design_probabilities",
    "rank_design_weights",
    "ranking_sensitivity",
    "round_robin",
    "sandwich_width",
    "score_error_bound",
    "spectrum_deviation",
    "stability_bound",
    "stale_rate",
    "staleness_factor",
    "stored_score_counterexample",
    "stored_score_penalty",
    "surrogate_deviation",
    "surrogate_fluctuation",
    "surrogate_loss",
    "surrogate_risk",
    "surrogate_weights",
    "total_variation",
    "transfer_bound",
]
