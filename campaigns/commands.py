"""Command lines of bad input, and signals: one line, the right status, nothing left behind."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from campaigns.outcome import Outcome, times
from campaigns.processes import status_of
from orderdp_theory.cli.app import app as theory
from orderdp_theory.common.command import run
from orderdp_train.cli.app import app as training

NUMBERS = [
    *(
        "0",
        "1",
        "2",
        "3",
        "10",
        "40",
        "-1",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e308",
        "1e-320",
        "1e100",
    ),
    *("10000000000", str(2**63), str(2**64), "1" + "0" * 30, "", "[/]", "é", "0x10", "1_000"),
]
FILES = ["[/]", "/dev/null", "/dev/full", ".", "missing/x", "losses.csv", "text.npy", "a" * 300]
OPTIONS = {
    "weights": ["--exact", "--ball=N", "--csv=F", "--plot=F"],
    "bound": [
        *("--steps=N", "--lipschitz=N", "--distance=N", "--step-size=N", "--losses=F"),
        *("--reference=F", "--loss-range=N", "--radius=N", "--failure=N", "--max-age=N"),
        *("--scores=F", "--rescored=N", "--minibatches=N", "--weak-convexity=N"),
    ],
    "choose": ["--gradients=F", "--gram=F", "--norms=F", "--every", "--csv=F"],
}
TRAIN = [
    *("--epochs=N", "--batch-size=N", "--max-lr=N", "--momentum=N", "--weight-decay=N"),
    *("--seed=N", "--label-noise=N", "--keep=N", "--explore=N", "--checkpoints=N", "--resume"),
    *("--rule=F", "--data=F", "--model=F", "--start=F", "--device=F", "--initial-score=N"),
]


def command_lines(share: float, seed: int) -> Outcome:
    """Status 0 or 2, in time, with one line of error or none, and no NaN in what is printed."""
    outcome, choice = Outcome(), random.Random(seed)
    with TemporaryDirectory() as place:
        os.environ["COLUMNS"] = "200"
        Path(place, "losses.csv").write_text("\n".join(map(str, range(40))))
        Path(place, "text.npy").write_text("no array")
        log = Path(place, "log")
        for _ in range(times(share, 2000)):
            train = choice.random() < 0.3
            words = _training_words(choice) if train else _theory_words(choice)
            status = status_of(partial(_call, train, words, place), log, 60)
            said = log.read_text(errors="replace")
            errors = [line for line in said.splitlines() if line.startswith("error: ")]
            fine = status == 0 or (status == 2 and len(errors) == 1 and said.count("\n") == 1)
            fine = fine and not (status == 0 and " nan" in said)
            outcome.add(None if fine else f"{' '.join(words)}: {status} {said[-300:]!r}")
    return outcome


def _theory_words(choice: random.Random) -> list[str]:
    command = choice.choice(list(OPTIONS))
    words = [command]
    if command == "choose":
        words += [choice.choice(FILES), choice.choice(NUMBERS)]
    else:
        sizes = choice.choice([["40", "20", "12"], choice.choices(NUMBERS, k=3)])
        words += sizes
    if command == "bound":
        words += ["--steps=100", "--lipschitz=2", "--distance=3"]
    chosen = choice.sample(OPTIONS[command], choice.randrange(4))
    return words + [_filled(option, choice) for option in chosen]


def _training_words(choice: random.Random) -> list[str]:
    options = choice.sample(TRAIN, choice.randrange(1, 4))
    # One epoch at most: a bad option has to be seen before the training, not by it.
    short = ["--epochs=1"] if not any(o.startswith("--epochs") for o in options) else []
    return ["run", "--out=run", *short, "--recipe=none-of-them"][: 2 + choice.randrange(3)] + [
        _filled(option, choice) for option in options
    ]


def _filled(option: str, choice: random.Random) -> str:
    name, _, kind = option.partition("=")
    return f"{name}={choice.choice(NUMBERS if kind == 'N' else FILES)}" if kind else name


def _call(train: bool, words: list[str], place: str) -> None:
    os.chdir(place)
    sys.stdin.close()
    resource.setrlimit(resource.RLIMIT_CPU, (50, 50))
    # A run that is good input ends at its first epoch.
    run(training if train else theory, words)


def signals(share: float, seed: int) -> Outcome:
    """Ctrl-C and SIGTERM at a random moment of a command's life, imports included."""
    outcome, choice = Outcome(), random.Random(seed)
    calls = [["-c", "import orderdp_command; orderdp_command.train()"], ["-m", "orderdp_train"]]
    with TemporaryDirectory() as place:
        for k in range(times(share, 100)):
            folder = Path(place, f"run{k}")
            number, status = choice.choice([(signal.SIGINT, 130), (signal.SIGTERM, 143)])
            words = ["run", f"--out={folder}", "--device=cpu", "--epochs=300", "--keep=0.1"]
            process = subprocess.Popen(
                [sys.executable, *choice.choice(calls), *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            time.sleep(0.5 + 8 * choice.random())  # before that it is Python that starts
            process.send_signal(number)
            _, said = process.communicate(timeout=120)
            left = [] if not folder.exists() else list(folder.glob("*.partial"))
            fine = process.returncode == status and said.count("\n") == 1 and not left
            outcome.add(None if fine else f"{number.name}: {process.returncode} {said[-300:]!r}")
    return outcome


def starts(share: float, seed: int) -> Outcome:
    """Two processes start together, find each other, train an epoch and end."""
    outcome = Outcome()
    with TemporaryDirectory() as place:
        for k in range(times(share, 200)):
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
                    *("--nproc-per-node=2", "-m", "--", "orderdp_train", "run", "--device=cpu"),
                    *(f"--out={place}/run{k}", "--epochs=1", "--keep=0.1", f"--seed={seed + k}"),
                ],
                capture_output=True,
                text=True,
                timeout=300,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            fine = done.returncode == 0 and done.stdout.count("epoch 1/1") == 1
            outcome.add(None if fine else f"start {k}: {done.returncode} {done.stderr[-300:]!r}")
    return outcome
