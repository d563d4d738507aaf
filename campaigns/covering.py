"""Which tests run a line, and how long each takes: measured once for a state of the code."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

ROOT = Path(__file__).parents[1]
STORE = ROOT / "build" / "mutants"
LONGEST = 900  # seconds of a file of tests


class Runner:
    """A warm process with a copy of the repository of its own.

    The copy stays, with what is compiled of it; `files` is brought up to date.
    """

    def __init__(self, place: Path) -> None:
        self.root, self.out = place / "copy", place / "out.json"
        for name in files():
            source, target = ROOT / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy2(source, target)
        fixed = {"CI": "1", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg", "NO_COLOR": "1"}
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "campaigns.warm"],
            cwd=self.root,
            env={**os.environ, **fixed, **one, "PYTHONPATH": str(self.root)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def run(
        self,
        tests: Iterable[str],
        seconds: float,
        *words: str,
        clean: bool = False,
        cover: bool = False,
    ) -> tuple[int | None, dict[str, Any]]:
        """Exit status (None: it took too long) and what the tests did."""
        self.out.unlink(missing_ok=True)
        job = {"tests": list(tests), "seconds": int(seconds), "words": words, "clean": clean}
        assert self.process.stdin
        print(json.dumps({**job, "cover": cover, "out": str(self.out)}), file=self.process.stdin)
        self.process.stdin.flush()
        status = json.loads(self._answer())
        return status, json.loads(self.out.read_text("utf-8")) if self.out.exists() else {}

    def _answer(self) -> str:
        assert self.process.stdout
        if not (line := self.process.stdout.readline()):
            raise RuntimeError("the process that runs the tests has ended")
        return line

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Runners:
    """Some runners, each of which does one thing at a time."""

    def __init__(self, place: Path, n: int) -> None:
        self.free: SimpleQueue[Runner] = SimpleQueue()
        self.pool = ThreadPoolExecutor(n)
        for runner in self.pool.map(lambda k: Runner(place / str(k)), range(n)):
            self.free.put(runner)

    def map(self, work: Any, over: Iterable[Any]) -> Iterable[Any]:
        """`work(runner, item)` of each item, in order."""

        def one(item: Any) -> Any:
            runner = self.free.get()
            try:
                return work(runner, item)
            finally:
                self.free.put(runner)

        return self.pool.map(one, over)

    def close(self) -> None:
        """End them."""
        self.pool.shutdown(cancel_futures=True)
        while not self.free.empty():
            self.free.get().close()


class Covering:
    """The tests of every line of the packages, and the seconds of every test."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.seconds: dict[str, float] = {}
        self.alone: set[str] = set()  # those that were seen to pass without any other
        self.lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for one in found:
            self.seconds |= one["tests"]
            for module, lines in one["lines"].items():
                for line, tests in lines.items():
                    passed = {name for name in tests if not name or name in one["tests"]}
                    self.lines[module][int(line)] |= passed

    def of(self, module: str, line: int) -> list[str]:
        """Tests that run the statement at a line; see `of_module` for their order.

        What runs at import belongs to the function it defines, or to all tests of the module.
        """
        lines = self.lines[module]
        tests = set().union(*(lines[k] for k in _around(ROOT / module, line)))
        if "" in tests or not tests:
            return self.of_module(module)
        return self._ordered(module, tests)

    def of_module(self, module: str) -> list[str]:
        """Tests that run a line of a module; those in its own file first, the fastest first."""
        return self._ordered(module, set().union(*self.lines[module].values()) - {""})

    def _ordered(self, module: str, tests: set[str]) -> list[str]:
        own = f"/test_{Path(module).stem.lstrip('_')}.py::"
        return sorted(tests, key=lambda name: (own not in name, self.seconds[name], name))


def _around(path: Path, line: int) -> range:
    """Lines of the smallest statement at a line; of a definition's head: those of its body."""
    smallest = range(line, line + 1)
    for node in ast.walk(_tree(path, path.stat().st_mtime_ns)):
        if not isinstance(node, ast.stmt):
            continue
        decorated = [d.lineno for d in getattr(node, "decorator_list", [])]
        first, last = min([node.lineno, *decorated]), node.end_lineno or node.lineno
        if not first <= line <= last:
            continue
        body = getattr(node, "body", None)
        if isinstance(body, list):
            head = range(first, body[0].lineno)
            if isinstance(node, ast.FunctionDef):
                smallest = range(body[0].lineno, last + 1) if line in head else smallest
            elif line in head:
                smallest = head
        else:
            smallest = range(first, last + 1)
    return smallest


_TREES: dict[tuple[Path, int], ast.Module] = {}


def _tree(path: Path, version: int) -> ast.Module:
    if (path, version) not in _TREES:
        _TREES[path, version] = ast.parse(path.read_text(encoding="utf-8"))
    return _TREES[path, version]


def covering(runners: Runners, packages: tuple[str, ...], tests: tuple[str, ...]) -> Covering:
    """Of tests in these files or folders; measured anew if they or the packages are others."""
    known = files()
    code = digest(name for name in known if name.startswith(packages))

    def one(runner: Runner, name: str) -> dict[str, Any]:
        stored = STORE / f"{digest([name], code)}.json"
        if not stored.exists():
            status, found = runner.run([name], LONGEST, clean=True, cover=True)
            found = found or {"tests": {}, "lines": {}, "failed": []}
            if status != 0:
                # What fails without any change proves nothing.
                print(f"left out  {name}: status {status}, {found['failed']}", flush=True)
                found["tests"] = {
                    k: s for k, s in found["tests"].items() if k not in found["failed"]
                }
            stored.write_text(json.dumps(found), encoding="utf-8")
            print(f"covered   {name}: {len(found['tests'])} tests", flush=True)
        return json.loads(stored.read_text("utf-8"))

    chosen = [name for name in known if name.startswith(tests) and "/test_" in name]
    return Covering(list(runners.map(one, chosen)))


def files() -> list[str]:
    """What git knows, and new files that it does not ignore, as they are now."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted(name for name in done.stdout.split("\0")[:-1] if (ROOT / name).is_file())


def digest(names: Iterable[str], start: str = "") -> str:
    """Of the content of files."""
    sum_ = hashlib.sha256(start.encode())
    for name in names:
        sum_.update(name.encode() + b"\0" + (ROOT / name).read_bytes() + b"\0")
    return sum_.hexdigest()[:16]
