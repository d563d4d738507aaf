"""Runs that are killed, damaged, written to twice or out of room end as if nothing had been."""

import itertools
import os
import random
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import orderdp_theory.common.files as files
from campaigns.outcome import Outcome, times
from campaigns.processes import start, status_of
from orderdp_theory.common.errors import InputError
from orderdp_train.rules import RULES, RuleConfig, rules_by_name
from orderdp_train.runs import RunConfig, RunFolder, run
from orderdp_train.runs.checkpoint import load_checkpoint
from orderdp_train.training.recipe import Recipe

EPOCHS = 2
WINDOWS = 2 * (1 + EPOCHS * 5)  # before and after each rename of a run of two epochs


def configurations() -> list[RunConfig]:
    """Every rule, once an epoch and, where it can be, at every step."""
    recipe = Recipe(epochs=EPOCHS, batch_size=128, max_lr=0.05)
    found = []
    for name in rules_by_name():
        config = RunConfig(rule=RuleConfig(name), recipe=recipe)
        found.append(config)
        if RULES[name].per_step:
            found.append(replace(config, selection="iteration"))
    return found


def kills(share: float, seed: int) -> Outcome:
    """Killed just before or after each rename of a file in turn, then continued: bit for bit."""
    outcome, choice = Outcome(), random.Random(seed)
    every = list(itertools.product(configurations(), range(WINDOWS)))
    with TemporaryDirectory() as place:
        whole: dict[str, dict] = {}
        for config, window in choice.sample(every, times(share, len(every))):
            folder = Path(place, "run")
            shutil.rmtree(folder, ignore_errors=True)
            name = config.to_json()
            if name not in whole:
                status_of(partial(train, config, Path(place, "whole")), Path(place, "log"))
                whole[name] = final(Path(place, "whole"))
                shutil.rmtree(Path(place, "whole"))
            status = status_of(partial(killed, config, folder, window), Path(place, "log"))
            again = status_of(partial(train, config, folder), Path(place, "log"))
            words = f"{config.rule.name} {config.selection} window {window}: "
            if status not in (0, -signal.SIGKILL) or again != 0:
                outcome.add(f"{words}{status}, {again} {Path(place, 'log').read_text()}")
            elif left := [p.name for p in folder.iterdir() if p.name.endswith(files.PARTIAL)]:
                outcome.add(f"{words}{left} left")
            else:
                outcome.add(None if same(final(folder), whole[name]) else f"{words}another result")
    return outcome


def killed(config: RunConfig, folder: Path, window: int) -> None:
    """A run that kills itself at one of its renames."""
    rename, seen = Path.replace, itertools.count()

    def dying(self: Path, target: Path) -> Path:
        if next(seen) == window:
            os.kill(os.getpid(), signal.SIGKILL)
        moved = rename(self, target)
        if next(seen) == window:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    Path.replace = dying  # type: ignore[method-assign,assignment]
    train(config, folder)


def damaged(share: float, seed: int) -> Outcome:
    """A file of a run with bytes changed, cut or added is refused as input, or does not matter."""
    outcome, choice = Outcome(), random.Random(seed)
    config = configurations()[0]
    with TemporaryDirectory() as place:
        whole = Path(place, "whole")
        status_of(partial(train, config, whole), Path(place, "log"))
        reference = final(whole)
        names = ["checkpoint.pt", "config.json", "metrics.jsonl", "usage.npy"]
        for _ in range(times(share, 320)):
            folder = Path(place, "run")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(whole, folder)
            name = choice.choice(names)
            raw = bytearray((folder / name).read_bytes())
            how = choice.choice(["bit", "cut", "empty", "noise", "longer"])
            spot = choice.randrange(len(raw))
            if how == "bit":
                raw[spot] ^= 1 << choice.randrange(8)
            elif how == "longer":
                raw += choice.randbytes(20)
            elif how == "noise":
                raw[spot : spot + 50] = choice.randbytes(50)
            else:
                del raw[0 if how == "empty" else spot :]
            (folder / name).write_bytes(raw)
            log = Path(place, "log")
            status = status_of(partial(read, folder), log)
            resumed = status_of(partial(train, config, folder), log)
            fine = resumed != 0 or same(final(folder), reference)
            problem = None if status in (0, 2) and resumed in (0, 2) and fine else log.read_text()
            outcome.add(problem and f"{name} {how}: {problem}")
    return outcome


def two_writers(share: float, seed: int) -> Outcome:
    """Of two runs that start in one folder together one trains and the other is refused."""
    outcome = Outcome()
    config = replace(configurations()[0], seed=seed)
    with TemporaryDirectory() as place:
        for _ in range(times(share, 200)):
            folder = Path(place, "run")
            shutil.rmtree(folder, ignore_errors=True)
            pair = [start(partial(train, config, folder), Path(place, f"log{k}")) for k in (0, 1)]
            ends = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in pair)
            done = len(RunFolder(folder).history().rows) == EPOCHS
            # The second may also come when the first is done, and have nothing left to do.
            outcome.add(None if ends in ([0, 2], [0, 0]) and done else f"they ended {ends}")
    return outcome


def full_disk(share: float, seed: int) -> Outcome:
    """No file may grow beyond a random size: one line, the last good state, and a way on."""
    outcome, choice = Outcome(), random.Random(seed)
    config = configurations()[0]
    with TemporaryDirectory() as place:
        log = Path(place, "log")
        status_of(partial(train, config, Path(place, "whole")), log)
        reference = final(Path(place, "whole"))
        for _ in range(times(share, 100)):
            folder, limit = Path(place, "run"), choice.randrange(1, 400_000)
            shutil.rmtree(folder, ignore_errors=True)
            status = status_of(partial(limited, config, folder, limit), log)
            words = log.read_text()
            again = status_of(partial(train, config, folder), log)
            fine = status in (0, 2) and again == 0 and same(final(folder), reference)
            outcome.add(None if fine else f"limit {limit}: {status} {words}, then {again}")
    return outcome


def limited(config: RunConfig, folder: Path, limit: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    train(config, folder)


def train(config: RunConfig, folder: Path) -> None:
    """Begin or continue; status 2 for what the command line would report as input."""
    refused(lambda: list(run(config, folder, device="cpu", resume=RunFolder(folder).exists)))


def read(folder: Path) -> None:
    refused(lambda: (RunFolder(folder).config(), RunFolder(folder).history()))


def refused(work: Callable[[], object]) -> None:
    torch.set_num_threads(1)
    try:
        work()
    except (InputError, OSError) as error:
        print(error)
        raise SystemExit(2) from None


def final(folder: Path) -> dict:
    """What a run ends with."""
    return load_checkpoint(folder / "checkpoint.pt")["state"]


def same(a: object, b: object) -> bool:
    """Equal bit for bit."""
    return all(
        torch.equal(x, y) if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor) else x == y
        for x, y in itertools.zip_longest(_leaves(a), _leaves(b))
    )


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key in sorted(value, key=str):
            yield key
            yield from _leaves(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
