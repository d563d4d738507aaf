"""Training with dynamic data pruning, and audits of the gradient bias it causes."""

import orderdp_command as _signals  # noqa: F401  first: it handles them under python -m

# isort: split

from importlib.metadata import version as _version

from orderdp_train.auditing import audit
from orderdp_train.data import Augmentation, load_data
from orderdp_train.models import model_for
from orderdp_train.rules import (
    RULES,
    UCB,
    EpsilonGreedy,
    FixedSubset,
    FreshOrderDP,
    FullData,
    InfoBatch,
    Option,
    OrderDP,
    OrderedSGD,
    RandomSubset,
    RepeatedRandom,
    RescoredOrderDP,
    RHOLoss,
    RuleConfig,
    ScoredRule,
    SelectionRule,
    SelectiveBackprop,
    Setting,
    StaticRandom,
    SurveySampling,
    UnbiasedOrderDP,
    build_rule,
    register,
)
from orderdp_train.runs import RunConfig, run
from orderdp_train.training.finite import NonFiniteLossError
from orderdp_train.training.loop import Epoch, fresh_scorer, losses_of, train
from orderdp_train.training.presets import RECIPES
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.sampler import RuleSampler, WithIndex
from orderdp_train.training.text import sequence_losses

__version__ = _version("orderdp")

__all__ = [
    "RECIPES",
    "RULES",
    "UCB",
    "Augmentation",
    "Epoch",
    "EpsilonGreedy",
    "FixedSubset",
    "FreshOrderDP",
    "FullData",
    "InfoBatch",
    "NonFiniteLossError",
    "Option",
    "OrderDP",
    "OrderedSGD",
    "RHOLoss",
    "RandomSubset",
    "Recipe",
    "RepeatedRandom",
    "RescoredOrderDP",
    "RuleConfig",
    "RuleSampler",
    "RunConfig",
    "ScoredRule",
    "SelectionRule",
    "SelectiveBackprop",
    "Setting",
    "StaticRandom",
    "SurveySampling",
    "UnbiasedOrderDP",
    "WithIndex",
    "audit",
    "build_rule",
    "fresh_scorer",
    "load_data",
    "losses_of",
    "model_for",
    "register",
    "run",
    "sequence_losses",
    "train",
]
