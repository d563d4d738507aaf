"""Figures: labelled, reproducible to the byte, and drawn from numbers that are checked here."""

import math
import re
from collections import Counter
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams

from orderdp_theory import Design, spectrum_deviation
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run
from orderdp_theory.common.palette import PALETTE
from orderdp_theory.common.style import COLUMN, FORMATS, WIDE, render
from orderdp_theory.figures import CAPTIONS, FIGURES, limits, selection, toy
from orderdp_theory.figures.weights import weights_figure
from orderdp_theory.impossibility import stored_score_counterexample

SIGNATURES = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_labelled_and_untitled(name: str):
    """Every panel has both axis labels, panels are lettered, no title repeats the caption."""
    figure = FIGURES[name].draw()
    assert figure.get_size_inches()[0] in (COLUMN, WIDE)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    for ax in panels:
        assert ax.get_xlabel()
        shares_labels = any(ax.get_shared_y_axes().joined(ax, o) for o in panels if o is not ax)
        named_rows = any(tick.get_text()[:1].isalpha() for tick in ax.get_yticklabels())
        assert ax.get_ylabel() or shares_labels or named_rows
        assert ax.has_data()
        assert not ax.get_title()
        assert ax.get_title(loc="left") in ("", "a", "b")
    assert figure.get_suptitle() == ""
    for colour_bar in set(figure.axes) - set(panels):
        assert colour_bar.get_ylabel()
    assert len(CAPTIONS[name]) > 40
    assert CAPTIONS[name].endswith(".")


@pytest.mark.parametrize("format", FORMATS)
def test_same_input_same_bytes(format: str, monkeypatch: pytest.MonkeyPatch):
    """No date, no random identifier, nothing of the user's settings."""
    design = Design(60, 30, 18)
    first = render(weights_figure(design), format)
    monkeypatch.setitem(rcParams, "font.size", 23)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert render(weights_figure(design), f".{format.upper()}") == first
    assert first.startswith(SIGNATURES[format])
    assert not re.search(rb"(Creat|Mod)[a-zA-Z]*Date|<dc:date>|\d{4}-\d{2}-\d{2}T", first)
    assert render(weights_figure(Design(60, 30, 17)), format) != first


def test_registered_figures_have_the_same_bytes_twice():
    """The three that draw most kinds of artists: contours, annotations, legends outside."""
    for name in ("figure-6", "stored-scores", "toy-example"):
        assert render(FIGURES[name].draw(), "svg") == render(FIGURES[name].draw(), "svg")


def test_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"bmp.*use one of png, svg, pdf"):
        render(weights_figure(Design(4, 2, 1)), "bmp")


def test_method_colours_are_distinct():
    assert max(Counter(PALETTE).values()) == 1


def status(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        run(app, ["figures", *arguments])
    return stop.value.code


def test_command_writes_the_named_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "folder"
    assert status("--out", str(out), "--format", "png, SVG", "--only", "figure-7") == 0
    assert sorted(path.name for path in out.iterdir()) == ["figure-7.png", "figure-7.svg"]
    assert (out / "figure-7.png").read_bytes() == render(FIGURES["figure-7"].draw(), "png")
    assert "figure-7.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "figure-99"], "no figure is called figure-99; choose from figure-5"),
        (["--format", "png,gif"], "no format is called gif; choose from png, svg, pdf"),
    ],
)
def test_bad_names_write_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert status("--out", str(tmp_path / "out"), *arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert status("--out", str(blocked / "out")) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_drawn_error_of_the_limit_has_the_proved_constant():
    """n · sup error tends to sup |δ| (certificate `limit`); the caption's 1 % is one too."""
    for s, q in ((10, 3), (40, 13)):
        n = 200 * s
        ratio = n * limits.limit_errors(s, q, np.array([n]))[0] / limits.leading_error(s, q)
        assert ratio == pytest.approx(1, abs=0.01)
    assert limits.limit_errors(100, 30, np.array([2000]))[0] < 0.01 * 100


def test_drawn_jaccard_and_never_used_by_enumeration():
    """Two independent epochs over all pairs of candidate sets; unused samples over all epochs."""
    n, s, q = 5, 4, 2
    kept = [set(c[:q]) for c in combinations(range(n), s)]
    shared = Fraction(sum(len(a & b) for a in kept for b in kept), len(kept) ** 2)
    assert selection.expected_jaccard(Design(n, s, q)) == pytest.approx(shared / (2 * q - shared))
    pairs = [len(set(range(n)) - a - b) for a in kept for b in kept]
    unused = selection.expected_never_used(Design(n, s, q), np.array([1, 2]))
    assert unused == pytest.approx([n - q, sum(pairs) / len(pairs)])


def test_toy_example_by_enumeration():
    """E.1 with s uniform on 1 … 5: the largest of each candidate set; InfoBatch's two averages."""
    n = 5
    chances = [Fraction(0)] * n
    for s in range(1, n + 1):
        for drawn in combinations(range(n), s):
            chances[max(drawn)] += Fraction(1, n * math.comb(n, s))
    assert toy.kept_probabilities() == pytest.approx([float(c) for c in chances])
    assert toy.infobatch_expectation(divide_by_kept=True) == pytest.approx(4.336)
    assert toy.infobatch_expectation(divide_by_kept=False) == pytest.approx(3)


def test_deviation_jumps_at_q_equal_to_s():
    """What the caption says of C_s: 1 for s/2 ≤ q < s, and 0 only at q = s."""
    values = [spectrum_deviation(Design(200, 100, q)) for q in range(50, 101)]
    assert values == pytest.approx([1.0] * 50 + [0.0])


def test_level_lines_are_of_the_counterexample_s_surrogate():
    run_ = stored_score_counterexample(30)
    for (x, y), error in zip(run_.trajectory, run_.errors, strict=True):
        surrogate = max(1 + 5 * max(0, 1 - x), max(0, 4 * x - 3 * y))
        assert surrogate - 1 == error
