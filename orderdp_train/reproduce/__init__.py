"""The paper's dynamic-pruning tables and figures, each by its name."""

from orderdp_train.reproduce.at_work import AtWork
from orderdp_train.reproduce.cost import Cost, estimate
from orderdp_train.reproduce.figures import draw
from orderdp_train.reproduce.outcome import (
    Measured,
    infobatch_savings,
    markdown,
    measure,
    recipes,
    table,
    to_csv,
)
from orderdp_train.reproduce.results import RESULTS, Number, Result
from orderdp_train.reproduce.scales import SCALES, Scale
from orderdp_train.reproduce.sweeping import Cell, Environment, sweep, with_seeds

__all__ = [
    "RESULTS",
    "SCALES",
    "AtWork",
    "Cell",
    "Cost",
    "Environment",
    "Measured",
    "Number",
    "Result",
    "Scale",
    "draw",
    "estimate",
    "infobatch_savings",
    "markdown",
    "measure",
    "recipes",
    "sweep",
    "table",
    "to_csv",
    "with_seeds",
]
