"""`python -m campaigns.warm`: tests in children of a process that has imported all libraries.

A job is a line of JSON on standard input; its exit status (null: it took too long) is a line on
standard output, and what its tests did lies in the file that the job names. The project itself is
imported in the child alone, so that each child sees its files as they are then.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

LIBRARIES = (
    *("numpy", "scipy.stats", "scipy.optimize", "scipy.special", "sympy", "flint", "mpmath"),
    *("matplotlib.pyplot", "jinja2", "rich.progress", "typer.testing", "hypothesis.strategies"),
    *("hypothesis.extra.numpy", "beartype", "jaxtyping", "torch", "torch.utils.data", "filelock"),
    *("torchvision", "timm", "sklearn.datasets", "tensorboard", "torch.utils.tensorboard", "PEPit"),
    *("torch.func", "cvxpy"),
)
PACKAGES = ("orderdp_theory", "orderdp_train")
SLOWER = 20.0  # of the time on the clock to the processor time that a child may take


class Record:
    """What each test did: seconds and whether it passed; the lines it ran, if `cover`ed."""

    def __init__(self, cover: coverage.Coverage | None) -> None:
        self.cover = cover
        self.tests: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.cover:
            self.cover.switch_context(item.nodeid)
        begin = time.process_time()
        done = yield
        if self.cover:
            self.cover.switch_context("")
        self.tests[item.nodeid] = time.process_time() - begin
        return done

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def lines(self, root: Path) -> dict[str, dict[int, list[str]]]:
        """Of each file and line: the tests that run it; "" for the import."""
        if not self.cover:
            return {}
        data = self.cover.get_data()
        return {
            str(Path(name).relative_to(root)): data.contexts_by_lineno(name)
            for name in data.measured_files()
        }


def main() -> None:
    """Until standard input ends."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(_status(job)), flush=True)


def _status(job: dict[str, Any]) -> int | None:
    child = os.fork()
    if not child:
        try:
            os._exit(_tests(job))
        except BaseException:
            os._exit(70)
    end = time.monotonic() + SLOWER * job["seconds"]
    status = None
    while status is None and time.monotonic() < end:
        done, raw = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(raw) if done else None
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    return None if status == -signal.SIGXCPU else status


def _tests(job: dict[str, Any]) -> int:
    os.setsid()
    log = os.open(job["out"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 5))
    sys.dont_write_bytecode = not job["clean"]
    root = Path.cwd()
    cover = None
    if job["cover"]:
        places = [str(root / name) for name in PACKAGES]
        cover = coverage.Coverage(data_file=None, config_file=False, source=places)
        cover.start()
    record = Record(cover)
    words = ["-p", "no:cacheprovider", "-m", "not slow and not gpu", *job["words"], *job["tests"]]
    status = int(pytest.main(words, plugins=[record]))
    if cover:
        cover.stop()
    found = {"tests": record.tests, "failed": record.failed, "lines": record.lines(root)}
    Path(job["out"]).write_text(json.dumps(found), encoding="utf-8")
    return status


if __name__ == "__main__":
    main()
