"""What ``--out`` may touch, and how an audit that was killed goes on."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from orderdp_theory.common.command import run as run_app
from orderdp_train.auditing import stored_run
from orderdp_train.auditing.point import AuditedPoint
from orderdp_train.cli.app import app
from orderdp_train.report.folder import MARK, UNFINISHED, output_folder
from orderdp_train.report.unfinished import Unfinished
from tests.report.documents import tiny_document

DOCUMENT = tiny_document().to_json()


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        run_app(app, [*arguments])
    return int(str(stopped.value.code))


def files(folder: Path) -> dict[str, str]:
    texts = [path for path in folder.iterdir() if path.suffix in (".json", ".txt")]
    return {path.name: path.read_text(encoding="utf-8") for path in texts}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write(target: Path, text: str = DOCUMENT) -> None:
    with output_folder(target) as folder:
        (folder / MARK).write_text(text, encoding="utf-8")


def test_an_output_folder_is_whole_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with pytest.raises(FileNotFoundError), output_folder(out) as folder:
        (folder / "missing" / MARK).write_text("half", encoding="utf-8")
    assert list(tmp_path.iterdir()) == []
    write(out)
    with pytest.raises(FileNotFoundError), output_folder(out) as folder:
        (folder / "missing" / MARK).write_text("half", encoding="utf-8")
    assert files(out) == {MARK: DOCUMENT}
    write(out, "new")
    assert files(out) == {MARK: "new"}
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="is a file"), output_folder(tmp_path / "file"):
        pass
    with pytest.raises(ValueError, match="holds other files"), output_folder(tmp_path):
        pass


@pytest.mark.parametrize("thesis", ["My thesis.", "[1, 2]", '{"title": "thesis"}'])
def test_a_file_of_the_same_name_is_not_an_audit(tmp_path: Path, thesis: str) -> None:
    (tmp_path / MARK).write_text(thesis, encoding="utf-8")
    with pytest.raises(ValueError, match="holds other files"):
        write(tmp_path)
    assert files(tmp_path) == {MARK: thesis}


def test_what_lies_beside_an_audit_stays_and_its_own_is_replaced(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "grid.png").write_text("of the audit before", encoding="utf-8")
    write(tmp_path, "new")
    assert files(tmp_path) == {MARK: "new", "notes.txt": "mine"}
    assert not (tmp_path / "grid.png").exists()


def test_links_and_the_present_folder_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert files(real) == {MARK: DOCUMENT}
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    inode = here.stat().st_ino
    write(Path())
    assert here.stat().st_ino == inode
    assert names(here) == [MARK]


def test_points_are_kept_whole_and_only_for_their_own_audit(tmp_path: Path) -> None:
    document = tiny_document()
    point = replace(document.points[0], never_used_samples=torch.tensor([1, 5]))
    begun = Unfinished(tmp_path / "out", document)
    assert begun.points == []
    begun.add(point)
    begun.add(document.points[1])
    again = Unfinished(tmp_path / "out", document)
    assert again.points == [point, document.points[1]]
    first = again.points[0].never_used_samples
    assert first is not None
    assert first.tolist() == [1, 5]
    with pytest.raises(ValueError, match="beginning of another audit"):
        Unfinished(tmp_path / "out", replace(document, command="other"))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    options = ("--epochs=3", "--rule=orderdp", "--device=cpu")
    assert command("run", f"--out={folder}", *options) == 0
    return folder


def test_a_killed_audit_goes_on(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("audit", f"--run={run_folder}", "--draws=50", "--no-moments", "--device=cpu")
    assert command(*options, f"--out={tmp_path / 'whole'}") == 0

    out, original, audited = tmp_path / "out", stored_run.audit_point, []

    def counted(*args: object, **kwargs: object) -> AuditedPoint:
        if len(audited) == 2:
            raise KeyboardInterrupt
        audited.append(1)
        return original(*args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(stored_run, "audit_point", counted)
    assert command(*options, f"--out={out}") == 130
    assert names(out) == [UNFINISHED]
    assert command(*options, "--seed=0", f"--out={out}") == 2  # another audit
    audited[:] = [1]  # one point more may be audited, and one is left to do
    assert command(*options, f"--out={out}") == 0
    assert sum(audited) == 2
    whole, found = (
        json.loads((place / MARK).read_text(encoding="utf-8"))
        for place in (tmp_path / "whole", out)
    )
    assert found == whole
    assert [point["epoch"] for point in found["points"]] == [1, 2, 3]
    assert not (out / UNFINISHED).exists()
    # What was turned off is not there.
    rules = [point["audit"]["rules"][0] for point in found["points"]]
    assert all(rule["variance"] is None for rule in rules)
    assert all(rule["monte_carlo"] is not None for rule in rules)


def test_the_json_of_an_audit_replaces_only_that_of_one(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, found = tmp_path / "out", tmp_path / "found.json"
    effort = ("--draws=50", "--no-moments", "--no-monte-carlo", "--replays=0", "--device=cpu")
    line = ("audit", f"--run={run_folder}", *effort, f"--out={out}", f"--json={found}")
    for theirs in ("mine", '{"command": "make", "versions": {}}'):
        found.write_text(theirs, encoding="utf-8")
        capsys.readouterr()
        assert command(*line) == 2
        said, error = capsys.readouterr()
        assert said == ""
        assert error == (
            f"error: {found} exists and is not what this command wrote: give another name, or "
            "remove it\n"
        )
        assert found.read_text(encoding="utf-8") == theirs
        assert not out.exists()
    found.write_text("", encoding="utf-8")
    for _ in range(2):
        assert command(*line) == 0
        assert found.read_text(encoding="utf-8") == files(out)[MARK]


def test_options_of_what_an_audit_spends(run_folder: Path, tmp_path: Path) -> None:
    options = ("audit", f"--run={run_folder}", "--draws=50", "--device=cpu")
    assert command(*options, "--no-monte-carlo", f"--out={tmp_path / 'a'}") == 0
    little = ("--memory-limit=0.0002", "--no-moments", "--replays=0")
    assert command(*options, *little, f"--out={tmp_path / 'b'}") == 0
    a, b = (
        json.loads((tmp_path / name / MARK).read_text(encoding="utf-8"))["points"][0]["audit"]
        for name in "ab"
    )
    assert a["rules"][0]["monte_carlo"] is None
    assert b["rules"][0]["bias"] == pytest.approx(a["rules"][0]["bias"], rel=1e-6)
    assert b["rules"][0]["variance"] is None
    assert b["rules"][0]["split"] is None
    looks = ("--views=2", "--no-monte-carlo")
    assert command(*options, *looks, f"--out={tmp_path / 'views'}") == 0
    found = json.loads((tmp_path / "views" / MARK).read_text(encoding="utf-8"))["points"][0]
    assert found["audit"]["views"] == 2
    assert found["audit"]["rules"][0]["bias_error"] is not None
    for name, which, exact in (
        ("views", "augmented images, the mean over 2 redraws", "What has no ±"),
        ("a", "plain images", "What has no ±"),
        ("b", "plain images", "Every bias"),
    ):
        page = (tmp_path / name / "report.html").read_text(encoding="utf-8")
        assert f"Gradients are of {which}" in page
        assert f"eval mode. {exact} is exact to rounding. An audit took up to" in page
    assert command(*options, "--precision=fp8", f"--out={tmp_path / 'c'}") == 2


def test_names_with_brackets_are_printed_as_they_are(
    run_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from orderdp_train.rules import OrderDP

    name = "[bold]mine[/bold] [red]"
    monkeypatch.setattr(OrderDP, "label", name)
    out = tmp_path / "[italic]out"
    capsys.readouterr()
    assert command("audit", f"--run={run_folder}", "--draws=50", f"--out={out}") == 0
    printed = capsys.readouterr().out
    table, sentences = printed.split("cosine, scale ")
    assert name in table
    assert re.search(rf"^{re.escape(name)} at \d+ % kept follows", sentences, re.MULTILINE)
    assert "[italic]out" in sentences.replace("\n", "")
