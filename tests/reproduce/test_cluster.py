"""A sweep on a Ray cluster of two nodes, one of which dies in the middle of it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orderdp_train.reproduce import AtWork, Cell, Environment, sweep, with_seeds
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, RunFolder, measures
from orderdp_train.training.recipe import Recipe
from tests.reproduce.shared_sweep import mini
from tests.reproduce.test_reproduce import SMOKE, Number, Result, markdown, measure, to_csv

ray = pytest.importorskip("ray", reason="needs Ray")
psutil = pytest.importorskip("psutil", reason="needs psutil")

ROOT = Path(__file__).parents[2]
EPOCHS, SEEDS = 40, 2
CONFIG = RunConfig(recipe=Recipe(epochs=EPOCHS, batch_size=64, max_lr=0.05))
DIVERGES = replace(CONFIG, recipe=replace(CONFIG.recipe, max_lr=1e20))


def cells_of() -> list[Cell]:
    rules = (RuleConfig("orderdp", {"keep": 0.3}), RuleConfig("random", {"keep": 0.3}))
    return [Cell(replace(CONFIG, rule=rule)) for rule in rules]


RESULT = Result(
    "mini",
    "Mini",
    lambda scale: [
        Number(cell.config.rule.name, "a", "test accuracy (%)", cell, measures.final_accuracy)
        for cell in cells_of()
    ],
)

MANY = 20  # epochs, some of them still to come when Ctrl-C is seen
MORE = 400  # which take minutes
HOW = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
ATTEMPTS = 3


class Node:
    """A node of a cluster, and all of its processes by their numbers."""

    def __init__(self, *arguments: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1"]
        self.process = subprocess.Popen(
            [*command, "--disable-usage-stats", *arguments],
            env=HOW,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            everybody = [first, *first.children(recursive=True)]
            for one in everybody:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            psutil.wait_procs(everybody, timeout=30)
        self.process.wait(timeout=30)

    @property
    def gone(self) -> bool:
        return self.process.poll() is not None


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of two nodes of one core each, and the second node.

    A node gives itself up if helpers of its own do not start within 15 seconds, which they may not
    on a machine that is busy with other things: it is tried again.
    """
    for _ in range(ATTEMPTS):
        with two_nodes(short(tmp_path_factory.mktemp("ray"))) as started:
            if started:
                yield started
                return
    pytest.skip("Ray's nodes do not start here within the time that they give themselves")


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[tuple[str, Node] | None]:
    """Address and second node, or None if one has given itself up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    nodes = [Node("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")]
    try:
        wait_for(lambda: reached(address) or nodes[0].gone)
        nodes.append(Node(f"--address={address}"))
        asking = [sys.executable, "-c", UNTIL_TWO, address]
        with subprocess.Popen(asking, env=HOW, stderr=subprocess.DEVNULL) as asked:
            wait_for(lambda: asked.poll() is not None or any(node.gone for node in nodes), 300)
            asked.kill()
        yield (address, nodes[1]) if asked.returncode == 0 else None
    finally:
        ray.shutdown()
        for node in reversed(nodes):
            node.kill()
        shutil.rmtree(folder, ignore_errors=True)


UNTIL_TWO = """
import sys, time, ray
ray.init(address=sys.argv[1], log_to_driver=False, configure_logging=False)
while sum(node["Alive"] for node in ray.nodes()) < 2:
    time.sleep(0.2)
"""


def short(path: Path) -> Path:
    """A name that leaves room for a socket's, of which a system takes 107 characters."""
    return Path("/tmp") / f"ray-{os.getpid()}-{path.stat().st_ino}"


def reached(address: str) -> bool:
    host, port = address.split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def epochs_of(folder: RunFolder) -> list[dict]:
    with contextlib.suppress(ValueError):
        return folder.history().rows
    return []


def command(out: Path, epochs: int, *more: str) -> list[str]:
    script = Path(__file__).with_name("shared_sweep.py")
    return [sys.executable, str(script), str(out), str(epochs), *more]


def stopped_by(number: int, address: str, out: Path, epochs: int) -> list[RunFolder]:
    """The run folders of a sweep on the cluster that gets this signal after its first epoch."""
    cells = mini(epochs).cells(SMOKE)
    folders = [RunFolder(out / "cells" / c.folder(Path()).path.name) for c in cells]
    words = command(out, epochs, "--engine=ray", f"--address={address}")
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=HOW, text=True) as sweeping:
        try:
            wait_for(lambda: any(map(epochs_of, folders)) or sweeping.poll() is not None, 600)
            sweeping.send_signal(number)
            _, said = sweeping.communicate(timeout=300)
        finally:
            sweeping.kill()
    assert sweeping.returncode == 128 + number, said
    assert said.startswith("stopped: finished epochs are kept in")
    assert said.count("\n") == 1
    for folder in folders:  # nobody writes any more
        folder.wait_until_free(60)
        with folder.locked():
            pass
    assert min(len(epochs_of(folder)) for folder in folders) < epochs
    return folders


@pytest.mark.slow
def test_ctrl_c_leaves_all_trainings_to_be_continued(tmp_path, cluster):
    """By the command, and continued by it here: what was trained is kept, and all is complete."""
    out = tmp_path / "out"
    folders = stopped_by(signal.SIGINT, cluster[0], out, MANY)
    begun = [epochs_of(folder) for folder in folders]
    words = command(out, MANY, "--engine=local")
    done = subprocess.run(words, capture_output=True, check=True, env=HOW, text=True)
    assert "Written:" in done.stdout
    for folder, rows in zip(folders, begun, strict=True):
        assert len(epochs_of(folder)) == MANY
        assert epochs_of(folder)[: len(rows)] == rows


@pytest.mark.slow
def test_sigterm_ends_a_sweep_as_ctrl_c_does(tmp_path, cluster):
    stopped_by(signal.SIGTERM, cluster[0], tmp_path / "out", MORE)


@pytest.mark.slow
def test_a_sweep_survives_the_death_of_a_node_and_ends_the_same(tmp_path, cluster):
    address, second = cluster
    cells = with_seeds(cells_of(), SEEDS)
    diverging = Cell(DIVERGES)
    environment = Environment(device="cpu")
    root = tmp_path / "cluster"
    root.mkdir()
    told: list[tuple[Cell, str]] = []
    view = AtWork([*cells, diverging], root)
    ended = sweep(
        [*cells, diverging],
        root,
        environment,
        jobs=1,
        cluster=address,
        on_failure=lambda cell, why: told.append((cell, why)),
    )
    done, at_work = [next(ended)], {}

    def both_at_work() -> bool:
        """Two trainings have begun and are not over; a node has room for one."""
        at_work.clear()
        for cell in set(cells) - set(done):
            if 0 < len(begun := epochs_of(cell.folder(root))) < EPOCHS:
                at_work[cell] = begun
        return len(at_work) == 2

    wait_for(both_at_work)
    shown = "".join(view.lines())
    assert all(f"{cell.folder(root).path.name}: " in shown for cell in at_work)
    second.kill()
    with pytest.raises(ValueError, match=r"1 of 5 trainings failed .*not finite"):
        done.extend(ended)
    assert set(done) == set(cells)
    assert [cell for cell, _ in told] == [diverging]
    for cell, begun in at_work.items():  # continued, not started again
        assert epochs_of(cell.folder(root))[: len(begun)] == begun

    here = tmp_path / "here"
    for _ in sweep(cells, here, environment, jobs=2):
        pass
    table = [measure(RESULT, SMOKE, SEEDS, folder) for folder in (root, here)]
    assert to_csv(table[0]) == to_csv(table[1])
    assert markdown(table[0]) == markdown(table[1])
