"""What a run may promise, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from orderdp_theory import Guarantee


def promise_table(guarantees: Sequence[Guarantee]) -> Table:
    """One row a theorem: what it bounds, the bound beside the trivial one, and what it needs."""
    table = Table(
        title="What this run may promise, by the constants measured on it",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
    )
    for name in ("theorem", "quantity"):
        table.add_column(name)
    for name in ("at most", "trivial"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for found in guarantees:
        value = "–" if found.value is None else f"{found.value:.3g}"
        words = (found.theorem, found.quantity, value, f"{found.trivial:.3g}", found.verdict)
        table.add_row(*(Text(word) for word in words))
    return table
