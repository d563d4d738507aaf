"""Selection rules: which samples to train on, at what weights, and the expectation of that.

Each module defines one rule; all of them are imported here, and so registered.
"""

from importlib import import_module
from pkgutil import iter_modules

from orderdp_train.rules.base import Recorder, ScoredRule, Scorer, Selection, SelectionRule
from orderdp_train.rules.epsilon_greedy import EpsilonGreedy
from orderdp_train.rules.fixed_subset import FixedSubset
from orderdp_train.rules.full import FullData
from orderdp_train.rules.infobatch import InfoBatch
from orderdp_train.rules.option import Choice, Option
from orderdp_train.rules.orderdp import OrderDP
from orderdp_train.rules.orderdp_fresh import FreshOrderDP
from orderdp_train.rules.orderdp_rescored import RescoredOrderDP
from orderdp_train.rules.ordered_sgd import OrderedSGD
from orderdp_train.rules.random_subset import RandomSubset
from orderdp_train.rules.registry import (
    RULES,
    RuleConfig,
    Setting,
    build_rule,
    looks,
    register,
    rule_class,
    rules_by_name,
)
from orderdp_train.rules.repeated_random import RepeatedRandom
from orderdp_train.rules.rho_loss import RHOLoss
from orderdp_train.rules.selective_backprop import SelectiveBackprop
from orderdp_train.rules.static_random import StaticRandom
from orderdp_train.rules.survey import SurveySampling
from orderdp_train.rules.ucb import UCB
from orderdp_train.rules.unbiased import UnbiasedOrderDP

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "RULES",
    "UCB",
    "Choice",
    "EpsilonGreedy",
    "FixedSubset",
    "FreshOrderDP",
    "FullData",
    "InfoBatch",
    "Option",
    "OrderDP",
    "OrderedSGD",
    "RHOLoss",
    "RandomSubset",
    "Recorder",
    "RepeatedRandom",
    "RescoredOrderDP",
    "RuleConfig",
    "ScoredRule",
    "Scorer",
    "Selection",
    "SelectionRule",
    "SelectiveBackprop",
    "Setting",
    "StaticRandom",
    "SurveySampling",
    "UnbiasedOrderDP",
    "build_rule",
    "looks",
    "register",
    "rule_class",
    "rules_by_name",
]
