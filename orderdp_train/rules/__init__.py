"""Selection rules: which samples to train on, at what weights, and the expectation of that."""

from orderdp_train.rules.base import ScoredRule, Selection, SelectionRule
from orderdp_train.rules.full import FullData
from orderdp_train.rules.infobatch import InfoBatch
from orderdp_train.rules.moving_average import UCB, EpsilonGreedy
from orderdp_train.rules.named import RULES, build_rule
from orderdp_train.rules.orderdp import OrderDP, Scorer
from orderdp_train.rules.random_subset import RandomSubset
from orderdp_train.rules.unbiased import UnbiasedOrderDP

__all__ = [
    "RULES",
    "UCB",
    "EpsilonGreedy",
    "FullData",
    "InfoBatch",
    "OrderDP",
    "RandomSubset",
    "ScoredRule",
    "Scorer",
    "Selection",
    "SelectionRule",
    "UnbiasedOrderDP",
    "build_rule",
]
