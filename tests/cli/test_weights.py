"""``orderdp-theory weights``: what it prints and writes, and that its checks can fail."""

import csv
import io
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx

from orderdp_theory import (
    Design,
    inclusion_probabilities,
    inclusion_probabilities_ball,
    inclusion_probabilities_exact,
)
from orderdp_theory.checks import check_inclusion_probabilities
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run

DESIGN = Design(10, 5, 3)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        run(app, ["weights", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


def test_csv_of_rationals_is_the_exact_vector(capsys, tmp_path):
    file = tmp_path / "weights.csv"
    status, out, _ = call(capsys, 10, 5, 3, "--exact", "--csv", file)
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    gamma = [Fraction(row["inclusion_probability"]) for row in rows]
    assert status == 0
    assert gamma == inclusion_probabilities_exact(DESIGN)
    assert [Fraction(row["weight"]) for row in rows] == [g / 3 for g in gamma]
    assert "7/10" in out  # prune ratio
    assert "FAILS" not in out


def test_csv_of_floats_loses_nothing(capsys, tmp_path):
    file = tmp_path / "weights.csv"
    assert call(capsys, 50, 20, 7, "--csv", file)[0] == 0
    rows = csv.DictReader(io.StringIO(file.read_text()))
    gamma = [float(row["inclusion_probability"]) for row in rows]
    np.testing.assert_array_equal(gamma, inclusion_probabilities(Design(50, 20, 7)))


def test_csv_of_balls_encloses_the_exact_vector(capsys, tmp_path):
    file = tmp_path / "weights.csv"
    assert call(capsys, 10, 5, 3, "--ball", 64, "--csv", file)[0] == 0
    rows = csv.DictReader(io.StringIO(file.read_text()))
    exact = inclusion_probabilities_exact(DESIGN)
    for row, g in zip(rows, exact, strict=True):
        with ctx.workprec(256):
            ball = arb(row["inclusion_probability"])
            assert (ball * g.denominator).contains(g.numerator)
            assert float(ball.rad()) < 1e-18


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_plot_has_the_format_of_its_name_and_the_same_bytes_every_time(capsys, tmp_path, format):
    first, second = tmp_path / f"a.{format}", tmp_path / f"b.{format}"
    for file in (first, second):
        assert call(capsys, 40, 20, 12, "--plot", file)[0] == 0
    assert first.read_bytes() == second.read_bytes()
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format]
    assert first.read_bytes().startswith(magic)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((10, 5, 7), "q must not exceed s"),
        ((10, 12, 7), "n"),
        ((0, 0, 0), "1"),
        ((10, 5, "three"), "integer"),
        ((10, 5), "Q"),
        ((10, 5, 3, "--exact", "--ball", 64), "--exact and --ball"),
        ((10, 5, 3, "--ball", -1), "bits"),
        ((10, 5, 3, "--csv", "/nowhere/weights.csv"), "/nowhere"),
        ((10, 5, 3, "--plot", "weights.gif"), "png, svg, pdf"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, part):
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert part.lower() in err.lower()


def test_a_table_of_a_dozen_lines_takes_the_memory_of_four_arrays(capsys):
    """As much as `require_population` asks for, and 4 MB for the table."""
    n = 500_000
    call(capsys, 10, 5, 3)  # imports
    tracemalloc.start()
    try:
        assert call(capsys, n, n // 2, n // 4)[0] == 0
        assert tracemalloc.get_traced_memory()[1] < 4 * 8 * n + 4e6
    finally:
        tracemalloc.stop()


def test_nothing_is_written_when_one_of_two_files_cannot_be(capsys, tmp_path):
    file = tmp_path / "weights.csv"
    status, _, _ = call(capsys, 10, 5, 3, "--csv", file, "--plot", tmp_path / "weights.gif")
    assert status == 2
    assert list(tmp_path.iterdir()) == []


def kinds(design: Design) -> list[list]:
    return [
        inclusion_probabilities(design).tolist(),
        inclusion_probabilities_exact(design),
        inclusion_probabilities_ball(design),
    ]


@pytest.mark.parametrize("design", [DESIGN, Design(1, 1, 1), Design(9, 4, 4), Design(7, 7, 2)])
def test_checks_hold_for_every_kind_of_number(design):
    for gamma in kinds(design):
        assert all(check.holds for check in check_inclusion_probabilities(design, gamma))


@pytest.mark.parametrize(
    ("broken", "position", "factor"),
    [("sum", 4, 2), ("plateau", 0, 2), ("support", 9, None), ("order", 5, 3)],
)
def test_each_check_notices_what_it_checks(broken, position, factor):
    for gamma in kinds(DESIGN):
        gamma[position] = gamma[0] if factor is None else gamma[position] * factor
        failed = {c.name for c in check_inclusion_probabilities(DESIGN, gamma) if not c.holds}
        assert broken in failed


def test_support_check_notices_a_hole_in_the_support():
    for gamma in kinds(DESIGN):
        gamma[6] = gamma[6] * 0
        failed = {c.name for c in check_inclusion_probabilities(DESIGN, gamma) if not c.holds}
        assert "support" in failed


@pytest.mark.parametrize(("last", "holds"), [(0.5, True), (2.0, False), (0.0, False)])
def test_only_what_underflows_may_be_zero(last, holds):
    """The rank before it is at most n² times the smallest normal number, and not 0 itself."""
    gamma = kinds(DESIGN)[0]
    gamma[7], gamma[6] = 0.0, last * np.finfo(float).tiny * DESIGN.n**2
    [support] = [c for c in check_inclusion_probabilities(DESIGN, gamma) if c.name == "support"]
    assert support.holds == holds
    assert support.found.startswith("7 positive, 1 below" if last else "6 positive, 2 below")


def test_the_checks_belong_to_one_design():
    with pytest.raises(ValueError, match="10 entries for a population of 11"):
        check_inclusion_probabilities(replace(DESIGN, n=11), kinds(DESIGN)[0])
