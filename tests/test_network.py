"""Nothing reaches for the network unless `--download` is given."""

import subprocess
import sys
from pathlib import Path

import pytest

# Python raises these events for every look-up of a name and every connection, whoever asks.
GUARD = """
import sys

def guard(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        sys.stderr.write(f"NETWORK: {event}\\n")
        raise OSError(101, "Network is unreachable")
    if event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        sys.stderr.write(f"NETWORK: {event} {arguments[1]}\\n")
        raise OSError(101, "Network is unreachable")

sys.addaudithook(guard)
"""
COMMANDS = """
from orderdp_theory.cli.app import app as theory
from orderdp_theory.common.command import run
from orderdp_train.cli.app import app as train

def call(app, line, status=0):
    try:
        run(app, line.split())
    except SystemExit as left:
        assert left.code == status, (line, left.code)
"""
HARMLESS = (
    'call(theory, "weights 10 5 3 --quiet")',
    'call(theory, "verify --only sec52-fastest --quiet")',
    'call(theory, "prove theorem-1 --quiet")',
    'call(train, "run --out a --epochs 1 --rule infobatch --device cpu --quiet")',
    'call(train, "run --out a --resume --quiet")',
    'call(train, "run --out b --epochs 1 --rule herding --device cpu --quiet")',
    'call(train, "audit --run a --out c --no-moments --draws 50 --replays 0 --quiet")',
    'call(train, "run --out d --recipe smoke --data cifar10", 2)',
    'call(train, "run --out d --recipe smoke --data cifar100", 2)',
    'call(train, "run --out d --recipe smoke --data imagenet", 2)',
    "from orderdp_train import load_data; from orderdp_train.models import model_for",
    'for name in ("mnist5k", "elpv", "prose", "synthetic"): load_data(name)',
    'for name in ("resnet18", "resnet10t"): model_for(name, load_data("digits"))',
)


DOWNLOAD = (
    'sys.stderr.write("DOWNLOAD\\n")',
    'call(train, "run --out d --recipe smoke --data cifar10 --download", 2)',
)


@pytest.mark.slow
def test_no_command_reaches_for_the_network_but_a_download(tmp_path: Path) -> None:
    """The guard sees the download, and the user is told in one line that it did not work."""
    script = "\n".join((GUARD, COMMANDS, *HARMLESS, *DOWNLOAD))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    without, _, download = done.stderr.partition("DOWNLOAD\n")
    assert "NETWORK" not in without
    assert "NETWORK" in download
    assert len([line for line in download.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in download
