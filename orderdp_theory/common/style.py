"""One look for every figure: sizes, lines, bytes that repeat.

Figures are built on `matplotlib.figure.Figure` directly, never through pyplot: no window, no
global state, nothing to close.
"""

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import BLACK, BLUE, PALETTE, SKY

COLUMN = 3.5  # inches: one column of a two-column page
WIDE = 7.1  # both columns
WRITER = "orderdp"  # stands in the files, which so are known as ours
FORMATS = ("png", "svg", "pdf")

# Ordered quantities (q, n, …) run through one hue scale of falling lightness, readable in grey too.
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "orderdp", ["#bfe3f5", SKY, BLUE, "#00436b", "#001a33"]
)

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so every machine draws the same
    "font.size": 8,
    "mathtext.fontset": "dejavusans",
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": BLACK,
    "axes.labelcolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": BLACK,
    "ytick.color": BLACK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "figure.dpi": 220,
    "savefig.dpi": 220,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "orderdp",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "text.usetex": False,
}
_NO_DATES: dict[str, dict[str, str | None]] = {
    "png": {"Software": WRITER},
    "svg": {"Date": None, "Creator": WRITER},
    "pdf": {"CreationDate": None, "Creator": WRITER, "Producer": None},
}

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a figure function draw in this style, whatever the user's matplotlibrc says.

    Example:
        >>> @styled
        ... def line():
        ...     figure = new_figure()
        ...     figure.subplots().plot([0, 1], color=BLUE)
        ...     return figure
        >>> type(line()).__name__
        'Figure'
    """

    @wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapper


def new_figure(width: float = COLUMN, height: float = 2.3) -> Figure:
    """An empty figure of this size in inches; it leaves room for what is put into it.

    Example:
        >>> new_figure(COLUMN, 2.0).get_size_inches().tolist()
        [3.5, 2.0]
    """
    return Figure(figsize=(width, height), layout="constrained")


def panel_letters(*axes: Axes) -> None:
    """Letter the panels of a figure a, b, c … above their upper left corner."""
    for letter, ax in zip("abcdef", axes, strict=False):
        ax.set_title(letter, loc="left", fontweight="bold")


def render(figure: Figure, format: str) -> bytes:
    """The file contents of a figure; equal figures give equal bytes (no date, no random ids).

    Args:
        figure: what a function decorated with `styled` returned.
        format: `png`, `svg` or `pdf`, with or without a leading dot, in any case.

    Raises:
        ValueError: another format.

    Example:
        >>> render(new_figure(), "svg").startswith(b"<?xml")
        True
    """
    name = format.lower().removeprefix(".")
    if name not in FORMATS:
        raise InputError(
            f"figures cannot be written as {format!r}; use one of {', '.join(FORMATS)}"
        )
    buffer = io.BytesIO()
    with rc_context(_RC):
        figure.savefig(buffer, format=name, metadata=_NO_DATES[name])
    return buffer.getvalue()
