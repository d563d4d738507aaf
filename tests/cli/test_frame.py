"""What every command offers: its version, help with examples, JSON, quiet, one line for a gap."""

import json
import os
import shlex
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest

from orderdp_theory import Design, inclusion_probabilities_ball, inclusion_probabilities_exact
from orderdp_theory.cli import app as theory
from orderdp_theory.common.command import run
from orderdp_train.cli import app as train

BOUND = "bound 100 50 30 --steps 400 --lipschitz 1 --distance 2 --loss-range 1"
COMMANDS = (
    "weights 10 5 3",
    "verify --only sec52-fastest",
    "prove theorem-1",
    BOUND,
    "choose losses.npy 2 --norms losses.npy --every",
    "figures --out drawn --only step-regime",
)


def called(app, line: str, capsys) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        run(app, shlex.split(line))
    shown = capsys.readouterr()
    return int(stopped.value.code or 0), shown.out, shown.err


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("losses.npy", np.arange(1.0, 6.0))
    return tmp_path


@pytest.mark.parametrize("line", COMMANDS)
def test_json_takes_the_place_of_the_table_or_goes_beside_it(line, folder, capsys):
    code, text, _ = called(theory.app, f"{line} --json -", capsys)
    document = json.loads(text)
    assert code == 0
    assert document
    _, beside, _ = called(theory.app, f"{line} --json found.json", capsys)
    assert json.loads(Path("found.json").read_text()) == document
    assert beside
    with pytest.raises(json.JSONDecodeError):
        json.loads(beside)


OUTPUTS = (
    *(f"{line} --json out" for line in COMMANDS),
    *("weights 10 5 3 --csv out", "weights 10 5 3 --exact --csv out"),
    *("weights 10 5 3 --plot out.png", "weights 10 5 3 --plot out.pdf"),
    "choose losses.npy 2 --norms losses.npy --every --csv out",
    *("verify --only sec52-fastest --html out", "verify --only sec52-fastest --markdown out"),
)


@pytest.mark.parametrize("line", OUTPUTS)
def test_an_output_replaces_only_what_the_same_command_wrote(line, folder, capsys):
    """A file of its own, or an empty one that `mktemp` made; any other stays as it is."""
    out = Path(line.split()[-1])
    out.write_text("mine: rank, caption, orderd")
    code, said, error = called(theory.app, line, capsys)
    assert (code, said) == (2, "")
    assert error == (
        f"error: {out} exists and is not what this command wrote: give another name, or remove it\n"
    )
    assert out.read_text() == "mine: rank, caption, orderd"
    out.write_text("")
    assert called(theory.app, line, capsys)[0] == 0
    first = out.read_bytes()
    assert first
    assert called(theory.app, line, capsys)[0] == 0
    assert out.read_bytes() == first


@pytest.mark.parametrize("line", COMMANDS)
def test_json_of_another_program_with_the_same_words_stays(line, folder, capsys):
    words = ("readings", "checked", "findings", "convergence", "caption", "inclusion")
    theirs = json.dumps(dict.fromkeys(words, True))
    Path("out").write_text(theirs)
    assert called(theory.app, f"{line} --json out", capsys)[0] == 2
    assert Path("out").read_text() == theirs


@pytest.mark.parametrize("line", COMMANDS)
def test_quiet_prints_errors_only(line, folder, capsys):
    assert called(theory.app, f"{line} --quiet", capsys) == (0, "", "")


def test_json_rounds_nothing(folder, capsys):
    design = Design(10, 5, 3)
    _, text, _ = called(theory.app, "weights 10 5 3 --exact --json -", capsys)
    exact = inclusion_probabilities_exact(design)
    assert list(map(Fraction, json.loads(text)["inclusion_probabilities"])) == list(exact)
    _, text, _ = called(theory.app, "weights 10 5 3 --ball 64 --json -", capsys)
    balls = inclusion_probabilities_ball(design, 64)
    for ball, written in zip(balls, json.loads(text)["inclusion_probabilities"], strict=True):
        assert type(ball)(written).contains(ball)


def test_numbers_that_json_lacks_are_null(folder, capsys):
    _, text, _ = called(theory.app, f"{BOUND} --json -", capsys)
    assert "NaN" not in text
    assert json.loads(text)["theorem_4_as_published"]["value"] is None  # needs --losses


@pytest.mark.parametrize(("app", "name"), [(theory.app, "theory"), (train.app, "train")])
def test_every_command_says_its_version(app, name, capsys):
    assert called(app, "--version", capsys) == (0, f"orderdp-{name} {version('orderdp')}\n", "")


def test_packages_say_the_version_that_is_installed():
    import orderdp_theory
    import orderdp_train

    assert orderdp_theory.__version__ == orderdp_train.__version__ == version("orderdp")


@pytest.mark.parametrize(
    ("words", "offered"),
    [("orderdp-theory ve", "verify"), ("orderdp-theory weights --ex", "--exact")],
)
def test_shells_complete_commands_and_options(words, offered):
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    asked["_ORDERDP_THEORY_COMPLETE"] = "complete_bash"
    script = (
        "import sys; sys.argv = ['orderdp-theory']; from orderdp_theory.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | asked
    )
    assert done.stdout.split() == [offered]


def parsers() -> dict[str, click.Command]:
    """All commands by the words that call them."""
    import typer

    found = {}
    for name, app in (("theory", theory.app), ("train", train.commands())):
        group = typer.main.get_command(app)
        assert isinstance(group, click.Group) or hasattr(group, "commands")
        found |= {f"orderdp-{name} {word}": command for word, command in group.commands.items()}
    return found


@pytest.mark.parametrize("words", parsers())
def test_help_shows_examples_that_parse(words):
    command = parsers()[words]
    examples = [line for line in command.epilog.split("\n\n") if line.startswith("orderdp-")]
    assert examples
    for example in examples:
        assert example.startswith(words)
        arguments = shlex.split(example)[2:]
        command.make_context(words, arguments)


@pytest.mark.parametrize("words", parsers())
def test_every_command_can_be_quiet_and_has_json(words):
    options = {name for p in parsers()[words].params for name in p.opts}
    assert {"--json", "--quiet", "-q"} <= options


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from orderdp_command import train
sys.argv = ["orderdp-train", "--help"]
train()
"""


@pytest.mark.parametrize("module", ["torch", "filelock"])
def test_a_missing_package_is_named_with_the_extra_that_installs_it(module):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(module=module)], capture_output=True, text=True
    )
    expected = f"error: {module} is not installed; run pip install 'orderdp[train]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_a_package_that_no_extra_installs_is_a_defect_of_ours():
    script = WITHOUT.format(module="json")  # ours to have: part of Python
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_can_be_switched_off(variables, coloured):
    line = [sys.executable, "-m", "orderdp_theory", "weights", "4", "2", "1"]
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = subprocess.run(
        line, capture_output=True, text=True, env=os.environ | terminal | variables
    )
    assert ("\x1b[32m" in done.stdout) == coloured
    piped = subprocess.run(line, capture_output=True, text=True)
    assert "\x1b" not in piped.stdout
