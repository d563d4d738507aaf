"""The paper's checkable statements, each decided by a computation.

A claim is a function in one of the modules below: its docstring is the statement and its place,
its parameters are what the paper prints, and the verdict follows from the finding it returns.
"""

from importlib import import_module

from orderdp_theory.claims.finding import Finding, Tally, UndecidedError, Verdict, tally
from orderdp_theory.claims.registry import Claim, Result, all_claims, claim, decide
from orderdp_theory.claims.tables import printed_tables, read_table, table_source

# Importing a module enters its claims; the report keeps this order, which is the paper's.
MODULES = (
    "selection",
    "weights",
    "limits",
    "training",
    "generalization",
    "toy",
    "experiments",
)
for _module in MODULES:
    import_module(f"{__name__}.{_module}")

__all__ = [
    "Claim",
    "Finding",
    "Result",
    "Tally",
    "UndecidedError",
    "Verdict",
    "all_claims",
    "claim",
    "decide",
    "printed_tables",
    "read_table",
    "table_source",
    "tally",
]
