"""A rule defined here goes through commands, tables and figures; no other file knows of it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest
import torch
from torch import Tensor

from orderdp_theory.common.command import run
from orderdp_train import RULES, Option, SelectionRule, Setting, register
from orderdp_train.cli.app import app


@pytest.fixture
def halves() -> Iterator[type[SelectionRule]]:
    @register
    class Halves(SelectionRule):
        """The first or the second half of the samples, the first with probability `chance`."""

        name, label = "halves", "one half [at a time]"
        options = {"chance": Option(0.5, "Chance of the first half.", low=0, high=1)}
        per_step = False

        @classmethod
        def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
            rule = cls()
            rule.n, rule.budget, rule.chance = setting.n, setting.n // 2, options["chance"]
            return rule

        def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            first = bool(torch.rand(1, generator=generator) < self.chance)
            half = torch.arange(self.n // 2) + (0 if first else self.n - self.n // 2)
            return half, torch.ones(len(half))

        def expected_weights(self, scores: Tensor | None = None) -> Tensor:
            weights = torch.zeros(self.n, dtype=torch.float64)
            weights[: self.n // 2] += self.chance
            weights[self.n - self.n // 2 :] += 1 - self.chance
            return weights / (self.n // 2)

    yield Halves
    del RULES["halves"]


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(app, list(map(str, words)))
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.mark.usefixtures("halves")
def test_a_rule_is_one_module(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    status, shown, _ = call(capsys, "run", "--help")
    assert status == 0
    assert "--chance" in shown
    assert "Chance of the first half." in " ".join(shown.split())

    where = tmp_path / "run"
    words = ("--rule=halves", "--chance=0.25", "--epochs=2", "--device=cpu", f"--out={where}")
    assert call(capsys, "run", *words)[0] == 0
    stored = json.loads((where / "config.json").read_text())
    assert stored["rule"] == {"name": "halves", "chance": 0.25}

    # Its options are its own, and within its bounds.
    for options, message in (
        (("--rule=halves", "--chance=2"), "--chance must be a number in [0, 1]"),
        (("--rule=halves", "--keep=0.2"), "halves takes no --keep; options: --chance"),
        (("--rule=random", "--chance=0.2"), "random takes no --chance; options: --keep"),
        (("--rule=halves", "--selection=iteration"), "no fixed budget"),
    ):
        status, _, error = call(capsys, "run", *options, f"--out={tmp_path / 'bad'}")
        assert (status, error.count("\n")) == (2, 1)
        assert message in error

    # The table: by a training of its own, and from the run folder.
    trained = ("--rules=halves,random", "--chance=0.25", "--epochs=1", "--draws=50")
    status, table, _ = call(capsys, "audit", *trained, f"--out={tmp_path / 'audit'}")
    assert status == 0
    assert "one half [at a time]" in table
    audited = json.loads((tmp_path / "audit" / "audit.json").read_text())
    first = audited["points"][0]
    assert first["method"] == "one half [at a time]"
    assert first["audit"]["rules"][0]["kept_fraction"] == 0.5
    assert audited["config"]["rules"][0] == {"name": "halves", "chance": 0.25}
    status, table, _ = call(
        capsys, "audit", f"--run={where}", "--draws=50", f"--out={where / 'audit'}"
    )
    assert status == 0
    assert table.count("one half [at a time]") >= 2  # the table and the sentence

    # The figures, in a colour and with a marker that no other rule has.
    status, _, _ = call(capsys, "figures", where, f"--out={tmp_path / 'figures'}")
    assert status == 0
    drawn = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"training-0", "usage-0", "audit-gradient"} <= drawn


@pytest.mark.usefixtures("halves")
def test_a_name_is_given_once():
    with pytest.raises(ValueError, match="taken by"):

        @register
        class Other(SelectionRule):
            name, label = "halves", "another"
