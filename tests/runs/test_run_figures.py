"""Figures of run folders: drawn numbers recomputed here, and every gap said in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from orderdp_theory.common.command import run
from orderdp_theory.common.palette import PALETTE
from orderdp_theory.common.style import COLUMN, WIDE, render
from orderdp_train.cli.app import app
from orderdp_train.report import drawings_of, read_audit
from orderdp_train.rules import RULES, RuleConfig, looks
from orderdp_train.runs import RunConfig
from orderdp_train.runs.figures import run_figures
from orderdp_train.training.recipe import Recipe
from tests.report.documents import tiny_document

EPOCHS, N = 7, 40


def write_run(folder: Path, epochs: int = EPOCHS, **config) -> Path:
    """A folder as a run leaves it, with made-up numbers that depend on the configuration."""
    name = config.pop("rule", "orderdp")
    options = {o: config.pop(o) for o in list(config) if o in RULES[name].options}
    made = RunConfig(
        **{"recipe": Recipe(epochs=EPOCHS), "rule": RuleConfig(name, options), **config}
    )
    explore = float(made.rule.options.get("explore", 0.5))
    rng = np.random.default_rng(len(folder.name) + 100 * made.seed + int(1000 * explore))
    kept = round(N * made.rule.keep)
    rows = [
        {
            "epoch": e,
            "test_accuracy": rng.uniform(0.1, 0.9),
            "grad_norm_mean": rng.uniform(1, 2),
            "grad_norm_std": rng.uniform(0.1, 0.4),
            "kept": kept,
            "seconds_selection": 1.0,
            "seconds_training": float(kept),
        }
        for e in range(1, epochs + 1)
    ]
    folder.mkdir()
    (folder / "config.json").write_text(made.to_json())
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = [rng.choice(N, kept, replace=False) for _ in rows]
    np.save(folder / "usage.npy", np.bincount(np.concatenate(chosen), minlength=N))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Enough to draw everything: repetitions, two prune ratios, two splits."""
    folders = [
        write_run(tmp_path / f"{name}-{seed}", seed=seed, **config)
        for seed in (0, 1)
        for name, config in {
            "full": {"rule": "full"},
            "infobatch": {"rule": "infobatch", "keep": 0.5},
            "half": {"keep": 0.5},
            "half-wide": {"keep": 0.5, "explore": 0.8},
            "tenth": {"keep": 0.1},
        }.items()
    ]
    return folders


def rows_of(folder: Path, name: str) -> np.ndarray:
    return np.array([json.loads(r)[name] for r in (folder / "metrics.jsonl").open()])


def drawn(figure: Figure, panel: int, label: str) -> np.ndarray:
    (line,) = (x for x in figure.axes[panel].lines if str(x.get_label()).startswith(label))
    return np.array(line.get_xydata())


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_all_figures_are_drawn_labelled_and_untitled(runs: list[Path]):
    figures, left_out = run_figures(runs)
    assert left_out == {}
    by_ratio = {
        f"{kind}-{p}" for kind in ("training", "time-to-accuracy", "usage") for p in (50, 90)
    }
    assert set(figures) == by_ratio | {"pruning", "split"}
    for drawing in figures.values():
        figure = drawing.draw()
        assert figure.get_figwidth() in (COLUMN, WIDE)
        assert all(ax.get_ylabel() and ax.has_data() for ax in figure.axes)
        assert figure.axes[-1].get_xlabel()
        assert figure.get_suptitle() == ""
        assert drawing.caption.endswith(".")


def test_methods_keep_their_name_colour_and_marker(runs: list[Path]):
    figure = run_figures(runs)[0]["time-to-accuracy-50"].draw()
    stored = "OrderDP (stored scores)"
    names = ["full data", f"{stored}, s/n = 0.5", f"{stored}, s/n = 0.8", "InfoBatch"]
    assert legend(figure) == names
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    for name in names:
        method = name.split(",")[0]
        rule = next(cls for cls in RULES.values() if cls.label == method)
        assert lines[name].get_color() == rule.colour
        assert lines[name].get_marker() == rule.marker
    assert len({lines[name].get_linestyle() for name in names[1:3]}) == 2
    for look in ("colour", "marker"):
        own = [value for cls in RULES.values() if (value := getattr(cls, look))]
        assert len(set(own)) == len(own)


def test_any_number_of_rules_of_a_user_can_be_told_apart():
    names = [*(cls.label for cls in RULES.values()), *(f"rule {i}" for i in range(20))]
    found = looks(names, PALETTE)
    assert list(found) == names
    assert all(colour and marker for colour, marker in found.values())
    assert len(set(found.values())) > len(RULES) + 4


def test_training_is_the_mean_over_seeds(runs: list[Path]):
    """Accuracy, norm, its deviation over five epochs, Pearson's R: by numpy from the files."""
    figure = run_figures(runs)[0]["training-90"].draw()
    own = [folder for folder in runs if folder.name.startswith("tenth")]
    accuracy = 100 * np.array([rows_of(folder, "test_accuracy") for folder in own])
    norms = np.array([rows_of(folder, "grad_norm_mean") for folder in own])
    label = "OrderDP"
    assert drawn(figure, 0, label)[:, 1] == pytest.approx(accuracy.mean(0))
    assert drawn(figure, 1, label)[:, 1] == pytest.approx(norms.mean(0))
    windows = [norms[:, max(e - 5, 0) : e].std(1).mean() for e in range(2, EPOCHS + 1)]
    assert drawn(figure, 2, label)[:, 1] == pytest.approx(windows)
    assert drawn(figure, 2, label)[:, 0] == pytest.approx(range(2, EPOCHS + 1))
    assert drawn(figure, 3, label) == pytest.approx(np.stack([norms.ravel(), accuracy.ravel()], 1))
    r = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(accuracy, norms, strict=True)])
    assert legend(figure)[1] == f"OrderDP (stored scores) (R = {r:.2f})".replace("-", "\u2212")
    # Shaded around the norm: the deviation over steps; around the accuracy: over seeds.
    for panel, middle, width in (
        (0, accuracy.mean(0), accuracy.std(0, ddof=1)),
        (1, norms.mean(0), np.mean([rows_of(folder, "grad_norm_std") for folder in own], 0)),
    ):
        band = figure.axes[panel].collections[1].get_paths()[0].vertices
        assert band[:, 1].max() == pytest.approx((middle + width).max())


def test_pruning_is_shown_at_what_was_really_saved(runs: list[Path]):
    figure = run_figures(runs)[0]["pruning"].draw()
    marks = [line.get_xydata() for line in figure.axes[1].lines]
    points = {tuple(np.round(xy[0], 6)) for xy in marks if len(xy)}
    epoch = {0.0: 1 + N, 50.0: 1 + N // 2, 90.0: 1 + N // 10}
    seconds = {saved: EPOCHS * own for saved, own in epoch.items()}
    minutes = {(saved, round(own / 60, 6)) for saved, own in seconds.items() if saved}
    assert minutes <= points
    assert figure.axes[1].get_ylabel() == "training time (min)"
    (full,) = (x for x in figure.axes[1].lines if x.get_label() == "full data")
    assert full.get_ydata()[0] == pytest.approx(seconds[0.0] / 60)


def test_accuracy_is_shown_over_the_time_that_selecting_and_training_took(runs: list[Path]):
    figure = run_figures(runs)[0]["time-to-accuracy-90"].draw()
    minutes = (1 + N // 10) * np.arange(1, EPOCHS + 1) / 60
    own = [folder for folder in runs if folder.name.startswith("tenth")]
    accuracy = 100 * np.mean([rows_of(folder, "test_accuracy") for folder in own], 0)
    assert drawn(figure, 0, "OrderDP") == pytest.approx(np.stack([minutes, accuracy], 1))
    (ax,) = figure.axes
    assert ax.get_xlabel() == "training time (min)"


def test_usage_counts_every_sample(runs: list[Path]):
    figure = run_figures(runs)[0]["usage-90"].draw()
    (panel,) = figure.axes
    bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in panel.patches}
    assert sum(bars.values()) == pytest.approx(N)
    assert sum(times * samples for times, samples in bars.items()) == pytest.approx(EPOCHS * N / 10)
    assert panel.get_title(loc="right") == f"never used: {bars[0]:g}"


@pytest.mark.parametrize(
    ("name", "format"), [("training-90", "svg"), ("usage-90", "png"), ("split", "pdf")]
)
def test_same_runs_same_bytes(name: str, format: str, runs: list[Path]):
    """In whatever order the folders are given."""
    first = render(run_figures(runs)[0][name].draw(), format)
    assert render(run_figures(runs[::-1])[0][name].draw(), format) == first


def test_an_audit_is_read_back_whole(tmp_path: Path):
    path = tmp_path / "audit.json"
    path.write_text(tiny_document().to_json())
    assert read_audit(path) == tiny_document()
    grid = replace(tiny_document(rules=9), config={"grid": "explore=0.3:1.0:8"})
    path.write_text(grid.to_json())
    assert read_audit(path) == grid
    assert set(drawings_of([grid])) == {"audit-grid"}
    assert set(drawings_of([grid, grid])) == {"audit-1-grid", "audit-2-grid"}


def test_an_audit_from_before_the_split_is_read(tmp_path: Path):
    path = tmp_path / "audit.json"
    document = replace(tiny_document(), format=2)
    values = json.loads(document.to_json())
    for point in values["points"]:
        for rule in point["audit"]["rules"]:
            assert rule.pop("split") is None
    path.write_text(json.dumps(values))
    assert read_audit(path) == document
    del values["points"][0]["audit"]["rules"][0]["bias"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="RuleAudit needs"):
        read_audit(path)


def test_an_audit_of_another_version_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "audit.json"
    values = json.loads(tiny_document().to_json())
    path.write_text(json.dumps({"checkpoints": values.pop("points"), **values, "format": 1}))
    with pytest.raises(ValueError, match="of version 1 and this program reads 2 and 3"):
        read_audit(path)


def test_settings_that_cannot_be_compared_get_figures_of_their_own(tmp_path: Path):
    a = write_run(tmp_path / "a")
    b = write_run(tmp_path / "b", data="mnist5k", label_noise=0.2)
    figures, _ = run_figures([a, b])
    assert "data-digits-label-noise-0.0-training-70" in figures
    assert "data-mnist5k-label-noise-0.2-training-70" in figures


# The command


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(app, ["figures", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_the_command_draws_a_real_run_and_says_what_it_lacks(tmp_path: Path, capsys):
    folder, out = tmp_path / "run", tmp_path / "new" / "figures"
    options = ["--keep", "0.1", "--epochs", "2", "--device", "cpu"]
    with pytest.raises(SystemExit):
        run(app, ["run", "--out", str(folder), *options])
    capsys.readouterr()
    status, text, _ = call(capsys, folder, "--out", out, "--format", "svg")
    names = {f"{kind}-90" for kind in ("training", "time-to-accuracy", "usage")}
    assert status == 0
    assert {path.name for path in out.iterdir()} == {f"{name}.svg" for name in names}
    assert "training-90.svg" in text
    lacking = [line.split(" left out: ")[0] for line in text.splitlines() if " left out: " in line]
    assert lacking == ["pruning", "split", "audit"]


def test_the_audit_in_a_run_folder_is_drawn_with_it(runs: list[Path], tmp_path: Path, capsys):
    (runs[0] / "audit").mkdir()
    (runs[0] / "audit" / "audit.json").write_text(tiny_document().to_json())
    status, text, _ = call(capsys, *runs, "--out", tmp_path / "figures")
    assert status == 0
    assert "left out" not in text
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {f"audit-{kind}" for kind in ("gradient", "causes", "layers", "noise")} < drawn


def test_a_running_training_is_drawn_as_far_as_it_is(tmp_path: Path):
    half, start = write_run(tmp_path / "half", 3), write_run(tmp_path / "b", 1, keep=0.5)
    figures, left_out = run_figures([half, start])
    assert set(figures) == {"training-70", "time-to-accuracy-70", "usage-70", "usage-50"}
    assert left_out["training-50"] == "a run has a single epoch so far"
    assert "2 unfinished trainings do not count" in left_out["pruning"]


def test_too_many_variants_for_lines_are_left_out(tmp_path: Path):
    wide = [write_run(tmp_path / str(k), explore=k / 10) for k in range(4, 9)]
    figures, left_out = run_figures(wide)
    assert set(figures) == {"split"}
    assert "more than 4 variants of OrderDP (stored scores)" in left_out["usage-70"]


def broken(folder: Path, name: str, content: str | bytes | None) -> Path:
    path = write_run(folder) / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", "[]", "config.json is not the configuration of a run"),
        ("metrics.jsonl", None, "has no finished epoch to draw"),
        ("metrics.jsonl", "", "does not hold one row of finite numbers"),
        ("metrics.jsonl", '{"epoch": 1}', "does not hold the metrics of a run"),
        ("metrics.jsonl", "{", "does not hold the metrics of a run"),
        ("usage.npy", b"", "usage.npy is not an array"),
        ("usage.npy", b"x" * 9, "usage.npy is not an array"),
        ("audit.json", "{}", "audit.json is not the document of an audit"),
        ("audit.json", "{", "audit.json is not the document of an audit"),
    ],
)
def test_a_damaged_folder_is_one_line(tmp_path: Path, capsys, name, content, message):
    folder = broken(tmp_path / "run", name, content)
    status, _, error = call(capsys, folder, "--out", tmp_path / "out")
    assert status == 2
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, capsys):
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b")
    out = tmp_path / "out"
    for arguments, message in (
        ([a, b], "hold the same run; give one of them"),
        ([tmp_path / "nothing"], "nothing holds no run"),
        ([a, "--only", "figure-1"], "no figure is called figure-1; choose from training-70"),
        ([a, "--format", "gif"], "no format is called gif; choose from png, svg, pdf"),
    ):
        status, _, error = call(capsys, *arguments, "--out", out)
        assert status == 2
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()
    assert call(capsys, "--out", out)[0] == 2
