"""``orderdp-theory bound``: its numbers are the library's, its refusals one line."""

import numpy as np
import pytest

from orderdp_theory import (
    Design,
    LinearPredictors,
    best_nonconvex_step_size,
    best_population_step_size,
    chi,
    convergence_bound,
    corrected_bound,
    cvar_sandwich,
    epoch_bound,
    gap,
    martingale_deviation,
    nonconvex_bound,
    population_bound,
    printed_bound,
    ranking_sensitivity,
    round_robin,
    sandwich_width,
    score_error_bound,
    stale_rate,
    stored_score_counterexample,
    stored_score_penalty,
    surrogate_deviation,
    surrogate_fluctuation,
    total_variation,
)
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run

DESIGN = Design(40, 20, 12)
ARGUMENTS = (40, 20, 12, "--steps", 100, "--lipschitz", 2, "--distance", 3)


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        run(app, ["bound", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def number(out: str, term: str, column: int = -1) -> float:
    """The cell of the row that starts with the term."""
    line = next(line for line in out.splitlines() if line.lstrip("│ ").startswith(term))
    cell = line.strip("│ ").split("│")[column]
    return float(cell.split("=")[-1].strip().replace("−", "-"))


def test_every_term_with_losses_from_both_kinds_of_file(capsys, tmp_path):
    rng = np.random.default_rng(0)
    losses, reference = rng.uniform(0, 2, (3, 40)), rng.uniform(0, 2, 40)
    np.savetxt(tmp_path / "losses.csv", losses, delimiter=",", fmt="%.17g")
    np.save(tmp_path / "reference.npy", reference)
    files = ("--losses", tmp_path / "losses.csv", "--reference", tmp_path / "reference.npy")
    more = ("--loss-range", 2, "--max-age", 3, "--failure", 0.1, "--radius", 4)
    status, out, _ = call(capsys, *ARGUMENTS, *files, *more)
    assert status == 0
    steps = np.full(100, 3 / 20)
    convergence = convergence_bound(3, 2, steps)
    error = convergence.value + stored_score_penalty(DESIGN, 2, steps, 3)
    printed = printed_bound(DESIGN, convergence.value, losses)
    holds = corrected_bound(DESIGN, error, LinearPredictors(2, 4, 2), 0.1, losses, reference)
    at = gap(reference, DESIGN)
    population = population_bound(DESIGN, 2, 3, steps, reference, 1, 3)
    best = best_population_step_size(DESIGN, 2, 3, 100, 1, 3)
    uniform = surrogate_deviation(DESIGN, 2 * 4 / 40**0.5, 2, 0.1)
    expected = {
        ("optimization error", -1): error,
        ("distance", -1): convergence.distance_term,
        ("of this run", -1): error + martingale_deviation(2 * 4 * 2, steps, 0.1),
        ("gap + optimization error", -1): at.value + error,
        ("less it", -1): at.value + error - gap(losses[-1], DESIGN).value,
        ("at most χ", -1): at.chi_std,
        ("at most total", -1): at.tv_range,
        ("C_s", 1): printed.spectrum_deviation,
        ("B, smallest", 1): printed.largest_loss_inf,
        ("B, largest", 1): printed.largest_loss_sup,
        ("√2", 1): printed.wasserstein_term,
        ("−Q_n", 1): -printed.gap_inf,
        ("sampling: 2 G", 2): holds.rademacher,
        ("sampling: b", 2): holds.fluctuation,
        ("bound on R(θ*)", 1): printed.value,
        ("bound on R(θ*)", 2): holds.risk_above_surrogate,
        ("bound on E[R", 2): holds.excess_risk,
        ("sampling: G ·", 3): population.generalization,
        ("bound on E[R", 3): population.excess_risk,
        ("at the best", 3): population_bound(
            DESIGN, 2, 3, np.full(100, best), reference, 1, 3
        ).excess_risk,
        ("±", -1): surrogate_fluctuation(DESIGN, 2, 0.1),
        ("over linear", -1): uniform.expected,
        ("R_sq − L_q", -1): uniform.expected + uniform.risk_above,
        ("L_q − R_sq", -1): uniform.expected + uniform.surrogate_above,
    }
    for (term, column), value in expected.items():
        assert number(out, term, column) == pytest.approx(value, rel=1e-5), term


def test_stored_scores_sandwich_and_epochs(capsys, tmp_path):
    rng = np.random.default_rng(1)
    losses, scores = rng.uniform(0, 2, 40), rng.uniform(0, 2, 40)
    np.save(tmp_path / "losses.npy", losses)
    np.save(tmp_path / "scores.npy", scores)
    files = ("--losses", tmp_path / "losses.npy", "--scores", tmp_path / "scores.npy")
    status, out, _ = call(capsys, *ARGUMENTS, *files, "--rescored", 4, "--minibatches", 5)
    assert status == 0
    steps = np.full(100, 3 / 20 / 5)
    bound, ages = epoch_bound(3, 2, steps, 5), round_robin(DESIGN, 4)
    penalty = stored_score_penalty(DESIGN, 2, 5 * steps, ages.max_age)
    sandwich = cvar_sandwich(losses, DESIGN)
    least = stored_score_counterexample(1, DESIGN).least_error
    expected = {
        "distance": bound.distance_term,
        "gradient noise": bound.noise_term,
        f"stored scores, at most {ages.max_age} epochs old": penalty,
        "all of it": stale_rate(DESIGN, 3, 2, 100, ages.max_age, ages.mean_age).value,
        "--scores": score_error_bound(scores, losses, DESIGN),
        # G = 5 and D = √2 in the counterexample, 2 and 3 here; both scale it.
        "stored scores of any age": float(least) * 2 * 3 / (5 * 2**0.5),
        "optimization error": bound.value + penalty,
        "width": sandwich_width(DESIGN),
        "mean loss L": sandwich.mean,
        "surrogate L_q": sandwich.surrogate,
        "CVaR": sandwich.cvar,
        "L_q + width": sandwich.surrogate + sandwich.width,
    }
    for term, value in expected.items():
        assert number(out, term) == pytest.approx(float(value), rel=1e-5), term
    assert f"{chi(DESIGN):.6g} ≤ {(20 / 12 - 1) ** 0.5:.6g}" in out
    assert f"{total_variation(DESIGN):.6g} ≤ {1 - 12 / 20:.6g}" in out


def test_without_pruning_among_candidates_stored_scores_do_no_harm(capsys):
    status, out, _ = call(capsys, 40, 20, 20, *ARGUMENTS[3:], "--max-age", 1000)
    assert status == 0
    assert number(out, "stored scores, at most 1000 steps old") == 0
    assert "of any age" not in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--rescored", 0), "rescored must lie in 1"),
        (("--rescored", 4, "--max-age", 2), "not both"),
        (("--minibatches", 0), "minibatches must be at least 1"),
        (("--scores", "scores.npy"), "--losses"),
    ],
)
def test_options_that_do_not_fit(capsys, change, message):
    status, _, err = call(capsys, *ARGUMENTS, *change)
    assert status == 2
    assert message in err


@pytest.mark.parametrize("parts", [1, 3])
def test_weakly_convex_losses(capsys, parts):
    options = ("--weak-convexity", 0.5, "--loss-range", 3, "--max-age", 2, "--minibatches", parts)
    status, out, _ = call(capsys, *ARGUMENTS, *options)
    assert status == 0
    out = out[out.index("Weakly convex") :]
    eta = best_nonconvex_step_size(DESIGN, 0.5, 2, 3, 100, 2) / parts
    shortfall = 2 * ranking_sensitivity(DESIGN) * 4 * parts * eta * 2
    bound = nonconvex_bound(0.5, 2, 3, [eta] * 100, shortfall, parts)
    for term, value in {
        "step size": eta,
        "start": bound.envelope_term,
        "gradient noise": bound.noise_term,
        "stored scores": bound.score_term,
        "bound": bound.value,
        "holds": 4,
    }.items():
        assert number(out, term) == pytest.approx(value, rel=1e-5), term


def test_without_losses_it_says_what_is_missing(capsys):
    status, out, _ = call(capsys, *ARGUMENTS)
    assert status == 0
    assert number(out, "C_s", 1) == 1
    for missing in (
        "needs --weak-convexity",
        "needs --losses",
        "needs --loss-range",
        "needs --losses or --reference",
    ):
        assert missing in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n4,5\n", "does not hold an array of numbers"),
        ("", "is empty"),
        ("1,nan\n", "NaN or infinite"),
        ("1,2,3\n", "losses must have shape (40,)"),
        ("loss\n1\n", "does not hold an array of numbers"),
    ],
)
def test_files_that_are_refused(capsys, tmp_path, content, message):
    file = tmp_path / "losses.csv"
    file.write_text(content)
    status, _, err = call(capsys, *ARGUMENTS, "--losses", file)
    assert status == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "change", [("--steps", 0), ("--distance", -1), ("--step-size", 0), ("--max-age", -1)]
)
def test_numbers_that_are_refused(capsys, change):
    status, out, err = call(capsys, *ARGUMENTS, *change)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "array", [np.full(40, 2**53 + 1), np.full(40, 1j)], ids=["large integers", "complex"]
)
def test_arrays_that_float64_would_change(capsys, tmp_path, array):
    np.save(tmp_path / "losses.npy", array)
    status, _, err = call(capsys, *ARGUMENTS, "--losses", tmp_path / "losses.npy")
    assert status == 2
    assert "does not hold an array of numbers" in err


def test_missing_file_and_pickles(capsys, tmp_path):
    assert call(capsys, *ARGUMENTS, "--losses", tmp_path / "none.npy")[0] == 2
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    assert call(capsys, *ARGUMENTS, "--losses", tmp_path / "objects.npy")[0] == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--lipschitz", "1e200"),
        ("--distance", "1e308"),
        ("--step-size", "1e300"),
        ("--loss-range", "1e300"),
        ("--radius", "nan"),
        ("--weak-convexity", "1e300"),
        ("--max-age", 10**30),
        ("--minibatches", 10**23),
        ("--steps", 10**10),
    ],
)
def test_numbers_that_would_overflow_are_refused_by_the_option(capsys, option, value):
    status, _, err = call(capsys, *ARGUMENTS, option, value)
    assert status == 2
    assert err.startswith(f"error: {option} must ")
    assert err.count("\n") == 1


def hostile(folder, kind):
    """A file that looks like losses and is none."""
    path = folder / "losses.npy"
    np.save(path, np.arange(40.0))
    if kind == "archive":
        np.savez(folder / "a.npz", a=np.arange(40.0))
        (folder / "a.npz").rename(path)
    elif kind == "forged header":
        path.write_bytes(path.read_bytes().replace(b"(40,)", b"(10000000000000,)"))
    elif kind == "dates":
        np.save(path, np.zeros(40, dtype="datetime64[D]"))
    elif kind == "near the largest float":
        np.save(path, np.full(40, 1.7e308))
    elif kind == "not UTF-8":
        path = folder / "losses.csv"
        path.write_bytes(b"1,2,\xe9\n")
    return path


@pytest.mark.parametrize(
    "kind", ["archive", "forged header", "dates", "near the largest float", "not UTF-8"]
)
def test_a_hostile_file_is_one_line_that_names_it(capsys, tmp_path, kind):
    path = hostile(tmp_path, kind)
    status, _, err = call(capsys, *ARGUMENTS, "--losses", path)
    assert status == 2
    assert err.startswith(f"error: {path} ")
    assert err.count("\n") == 1


def test_an_endless_device_is_read_up_to_what_memory_takes(capsys, monkeypatch):
    monkeypatch.setattr("orderdp_theory.cli.arrays.memory", lambda: 2**20)
    status, _, err = call(capsys, *ARGUMENTS, "--losses", "/dev/full")
    assert status == 2
    assert "/dev/full: bytes must be at most 16,384" in err
