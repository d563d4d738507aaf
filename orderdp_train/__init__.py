"""Training with dynamic data pruning, and audits of the gradient bias it causes."""

from orderdp_train.recipe import RECIPES, Recipe
from orderdp_train.rules import (
    UCB,
    EpsilonGreedy,
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    SelectionRule,
    UnbiasedOrderDP,
    build_rule,
)
from orderdp_train.sampler import RuleSampler, WithIndex
from orderdp_train.train import Epoch, NonFiniteLossError, fresh_scorer, losses_of, train

__all__ = [
    "RECIPES",
    "UCB",
    "Epoch",
    "EpsilonGreedy",
    "FullData",
    "InfoBatch",
    "NonFiniteLossError",
    "OrderDP",
    "RandomSubset",
    "Recipe",
    "RuleSampler",
    "SelectionRule",
    "UnbiasedOrderDP",
    "WithIndex",
    "build_rule",
    "fresh_scorer",
    "losses_of",
    "train",
]
