"""``orderdp-theory choose``: what it prints and writes, and what it refuses."""

import csv

import numpy as np
import pytest

from orderdp_theory import Design, choose, error_bound_from_norms
from orderdp_theory.cli.app import app
from orderdp_theory.common.command import run

N, Q = 12, 5


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        run(app, ["choose", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(exit_.value.code or 0), captured.out, captured.err


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    rng = np.random.default_rng(0)
    losses, gradients = rng.exponential(size=N), rng.normal(size=(N, 3)) + 0.5
    np.savetxt(tmp_path / "losses.csv", losses)
    np.save(tmp_path / "gradients.npy", gradients)
    np.savetxt(tmp_path / "gram.csv", gradients @ gradients.T, delimiter=",")
    np.savetxt(tmp_path / "norms.csv", np.linalg.norm(gradients, axis=1))
    return tmp_path, losses, gradients


@pytest.mark.parametrize("option", ["--gradients", "--gram"])
def test_prints_the_best_and_writes_all(capsys, files, option):
    folder, losses, gradients = files
    data = folder / ("gradients.npy" if option == "--gradients" else "gram.csv")
    out_file = folder / "all.csv"
    status, out, _ = call(capsys, folder / "losses.csv", Q, option, data, "--csv", out_file)
    assert status == 0
    choice = choose(gradients @ gradients.T, losses, Q)
    best = choice.best
    assert f"{best.mean_squared_error:.6g}" in out
    assert f"s={best.design.s}" in out
    assert f"{np.linalg.norm(gradients.mean(axis=0)):.6g}" in out
    expected = {
        (c.design.s, c.design.q, c.q2): c.mean_squared_error
        for c in (*choice.random_then_top, *choice.unbiased)
        if c.design.s >= Q  # smaller s are tried by the library's default only
    }
    with out_file.open() as file:
        found = {
            (int(r["s"]), int(r["q1"]), int(r["q2"])): float(r["mean_squared_error"])
            for r in csv.DictReader(file)
        }
    assert found == pytest.approx(expected)


def test_norms_come_with_a_bound(capsys, files):
    folder, losses, gradients = files
    status, out, _ = call(capsys, folder / "losses.csv", Q, "--norms", folder / "norms.csv")
    norms = np.linalg.norm(gradients, axis=1)
    best = choose(np.diag(norms**2), losses, Q).best
    bound = error_bound_from_norms(norms, losses, best.design, best.q2)
    assert status == 0
    assert "orthogonal" in out
    assert f"{bound:.6g}" in out


def test_thinned_out_unless_every(capsys, tmp_path):
    n = 60
    rng = np.random.default_rng(1)
    np.save(tmp_path / "losses.npy", rng.exponential(size=n))
    np.save(tmp_path / "norms.npy", rng.exponential(size=n))
    arguments = (tmp_path / "losses.npy", 3, "--norms", tmp_path / "norms.npy")
    assert "--every does" in call(capsys, *arguments)[1]
    out = call(capsys, *arguments, "--every", "--csv", tmp_path / "all.csv")[1]
    assert "--every does" not in out
    rows = (tmp_path / "all.csv").read_text().splitlines()[1:]
    assert len(rows) == 58 + 59 + 58  # s = 3 … 60; q1 = 1, s = 2 … 60; q1 = 2, s = 3 … 60
    assert Design(n, 60, 2).n == n


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Q,), "exactly one of"),
        ((Q, "--norms", "norms.csv", "--gram", "gram.csv"), "exactly one of"),
        ((N + 1, "--gram", "gram.csv"), "q must not exceed"),
        ((0, "--gram", "gram.csv"), "q must be at least 1"),
        ((Q, "--norms", "gram.csv"), "dimensions"),
        ((Q, "--gram", "gradients.npy"), "square"),
        ((Q, "--norms", "missing.csv"), "missing.csv"),
        ((Q, "--norms", "short.csv"), "2 samples"),
        ((Q, "--norms", "negative.csv"), "negative"),
        ((Q, "--gram", "gram.csv", "--csv", "none/all.csv"), "check the path"),
    ],
)
def test_refused(capsys, files, monkeypatch, arguments, message):
    folder = files[0]
    monkeypatch.chdir(folder)
    (folder / "short.csv").write_text("1\n2\n")
    (folder / "negative.csv").write_text("-1\n" * N)
    status, out, err = call(capsys, "losses.csv", *arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.count("error: ") == 1
