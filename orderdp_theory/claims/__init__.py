"""What the paper says, sentence by sentence, each decided by a computation.

A claim is one function in one of the modules below: it is decorated with the sentence it quotes,
its parameters are what the paper prints, and it returns the readings of that sentence with what was
computed for each. The verdict is that of the reading most favourable to the authors among those
that the words allow. Claims about the released code and the toolkit's own questions are kept apart.
"""

from importlib import import_module

from orderdp_theory.claims.reading import Reading, UndecidedError, Verdict, decided, tally
from orderdp_theory.claims.registry import Claim, Quote, Result, all_claims, claim, decide
from orderdp_theory.claims.report import TITLES, headline
from orderdp_theory.claims.tables import printed_tables, read_table, table_source

# Importing a module enters its claims; the report keeps this order, which is the paper's.
MODULES = (
    "selection",
    "weights",
    "limits",
    "unbiasedness",
    "convergence",
    "spectral",
    "generalization",
    "bias_terms",
    "accuracy",
    "cost",
    "runs",
    "toy",
    "release",
    "toolkit",
)
for _module in MODULES:
    import_module(f"{__name__}.{_module}")

__all__ = [
    "TITLES",
    "Claim",
    "Quote",
    "Reading",
    "Result",
    "UndecidedError",
    "Verdict",
    "all_claims",
    "claim",
    "decide",
    "decided",
    "headline",
    "printed_tables",
    "read_table",
    "table_source",
    "tally",
]
