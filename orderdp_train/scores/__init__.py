"""Static data pruning: scores and coresets, one method a module.

All take torch tensors or numpy arrays and return torch tensors: what selects, trains and audits is
torch, and the greedy methods are bound by memory traffic, so they run where the features live, on
a GPU too. Arithmetic is float64, for a selection hinges on comparisons. Scores are `(n,)`, larger =
kept first, on the device of their input; indices are int64 on the CPU, weights float64 beside them.
Class balance is the argument `classes`, and means the same everywhere: see `class_budgets`.

Beside each function stands the rule that applies it to a recording, a `StaticRule` registered under
the method's name; all modules are imported here, and so registered.
"""

from importlib import import_module
from pkgutil import iter_modules

from orderdp_train.scores._balance import class_budgets, keep_top
from orderdp_train.scores._contextual_diversity import contextual_diversity
from orderdp_train.scores._craig import craig
from orderdp_train.scores._dataset_pruning import dataset_pruning
from orderdp_train.scores._deepfool import deepfool
from orderdp_train.scores._el2n import el2n
from orderdp_train.scores._entropy import entropy
from orderdp_train.scores._forgetting import forgetting
from orderdp_train.scores._glister import glister
from orderdp_train.scores._grand import grand
from orderdp_train.scores._herding import herding
from orderdp_train.scores._influence import influence, parameter_influences
from orderdp_train.scores._k_center import k_center
from orderdp_train.scores._k_means_prototypes import k_means_prototypes
from orderdp_train.scores._last_layer import LastLayer
from orderdp_train.scores._least_confidence import least_confidence
from orderdp_train.scores._margin import margin
from orderdp_train.scores._per_sample import per_sample_gradient_norms
from orderdp_train.scores.proxy import ModelProxy, Proxy
from orderdp_train.scores.recorder import record
from orderdp_train.scores.recording import Recording, Schedule
from orderdp_train.scores.static_rule import ScoreRule, StaticRule

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LastLayer",
    "ModelProxy",
    "Proxy",
    "Recording",
    "Schedule",
    "ScoreRule",
    "StaticRule",
    "class_budgets",
    "contextual_diversity",
    "craig",
    "dataset_pruning",
    "deepfool",
    "el2n",
    "entropy",
    "forgetting",
    "glister",
    "grand",
    "herding",
    "influence",
    "k_center",
    "k_means_prototypes",
    "keep_top",
    "least_confidence",
    "margin",
    "parameter_influences",
    "per_sample_gradient_norms",
    "record",
]
