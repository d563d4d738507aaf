"""Changes of the code that no test notices: operators of cosmic-ray on a seeded sample.

A mutant is one changed operator, number, comparison, exception, decorator or constant. The tests
that run the changed line run on it, the fastest first, until one fails, then the other tests of
its module; a test that fails on the unchanged code proves nothing. `equivalents.txt` lists mutants
that compute the same, with the reason; the score is the share of all others that are caught.

The sample is ranked by a hash of the seed and of the changed line, so that a change of the code
moves few of its members. What was found lies in `build/mutants`: a campaign that was stopped goes
on, and one on new code tries only what could have changed.

Measured: `python -m campaigns mutation`, seed 0, two cores of a shared machine, 29 November 2026,
on commit b1038c1. Of 400 mutants (theory 186, audits 110, rules 50, runs 43, sampler 11) the tests
that it had caught 341; 20 others are equivalents; each of the other 39 is caught by a test that was
added since, tried alone on its mutant: 380 of 380.
"""

import ast
import difflib
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from campaigns.covering import ROOT, STORE, Covering, Runner, Runners, covering, digest
from campaigns.outcome import Outcome, times

EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
MUTANTS = 400
SCORE = 0.98
# What a room's tests depend on, and where they lie; in the order of trying.
BOTH = ("orderdp_theory", "orderdp_train")
Rooms = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
ROOMS: Rooms = {
    "orderdp_train/training": (BOTH, ("tests/training",)),
    "orderdp_train/runs": (BOTH, ("tests/runs", "tests/data/test_data_files.py")),
    "orderdp_train/auditing": (BOTH, ("tests/auditing",)),
    "orderdp_train/rules": (BOTH, ("tests/rules", "tests/test_users_rule.py")),
    "orderdp_theory": (
        ("orderdp_theory",),
        ("tests/theory", "tests/common/test_limits.py", "tests/cli/test_weights.py"),
    ),
}
SAMPLER = "orderdp_train/training/sampler.py"
BUDGET = 90.0  # seconds of processor time of all tests of a mutant, as measured without it
FIRST = 12.0  # of those that come first


@dataclass(frozen=True)
class Mutant:
    """A place where an operator of cosmic-ray changes a module."""

    module: str
    line: int
    operator: str
    occurrence: int
    key: str  # module, operator, text of the line, and which of such

    @property
    def room(self) -> str:
        """The folder that it lies in."""
        return self.module.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator.removeprefix('core/')}"

    def code(self) -> str:
        """The changed module."""
        before = (ROOT / self.module).read_text(encoding="utf-8")
        after = mutate_code(before, _operator(self.operator), self.occurrence)
        assert after is not None
        return after


@dataclass(frozen=True)
class Verdict:
    """Of one mutant; `by` is the test that failed, "" for none."""

    key: str
    name: str
    diff: str
    caught: bool
    by: str
    seconds: float
    module: str  # digest of what was changed, and of the file of tests that noticed
    tests: str

    @property
    def holds(self) -> bool:
        """Whether it is known without a new try: it was caught, and neither side is another."""
        module, tests = self.key.partition("|")[0], self.by.partition("::")[0]
        return self.caught and all(
            (ROOT / name).is_file() and digest([name]) == then
            for name, then in ((module, self.module), (tests or module, self.tests))
        )


def mutation(share: float, seed: int, module: str = "") -> Outcome:
    """Survivors are violations only if the score is below `SCORE`.

    With a `module` they are its mutants alone, and its own file of tests alone has to catch them.
    """
    mutants = [m for name in ([module] if module else modules()) for m in _mutants(name)]
    mutants.sort(key=lambda m: hashlib.sha256(f"{seed}|{m.key}".encode()).digest())
    return attempt(mutants[: times(share, MUTANTS)], _alone(module) if module else ROOMS)


def _alone(module: str) -> Rooms:
    room, _, name = module.rpartition("/")
    own = [str(path.relative_to(ROOT)) for path in ROOT.glob(f"tests/**/test_{name}")]
    return {room: (BOTH, tuple(own))}


def attempt(mutants: list[Mutant], rooms: Rooms = ROOMS) -> Outcome:
    """The campaign on these mutants, a room at a time."""
    outcome, equivalent, survivors = Outcome(), _equivalents(), []
    STORE.mkdir(parents=True, exist_ok=True)
    store = STORE / "verdicts.jsonl"
    store.touch()
    known = [Verdict(**json.loads(line)) for line in store.read_text("utf-8").splitlines()]
    held = {verdict.key: verdict for verdict in known if verdict.holds}
    given = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()  # taskset's
    runners = Runners(STORE, len(given) or os.cpu_count() or 1)
    try:
        for room, tests in rooms.items():
            asked = [mutant for mutant in mutants if mutant.room == room]
            new = [mutant for mutant in asked if mutant.key not in held]
            cover = covering(runners, *tests) if new else None

            def one(runner: Runner, mutant: Mutant, cover: Covering | None = cover) -> Verdict:
                if mutant.key in held or cover is None:
                    return held[mutant.key]
                verdict = _verdict(runner, mutant, cover)
                with store.open("a", encoding="utf-8") as file:
                    print(json.dumps(asdict(verdict)), file=file)
                return verdict

            for verdict in runners.map(one, asked):
                if not verdict.caught and verdict.diff in equivalent:
                    continue
                outcome.tried += 1
                if not verdict.caught:
                    survivors.append(f"{verdict.name}: {verdict.diff}")
                    print(f"survived  {survivors[-1]}", flush=True)
                print(f"mutants   {outcome.tried}, not caught {len(survivors)}", flush=True)
    finally:
        runners.close()
    if 1 - len(survivors) / max(outcome.tried, 1) < SCORE:
        outcome.violations = survivors
    return outcome


def modules() -> list[str]:
    """The modules that are changed."""
    found = [
        str(p.relative_to(ROOT)) for room in list(ROOMS)[1:] for p in (ROOT / room).glob("*.py")
    ]
    return sorted(name for name in (*found, SAMPLER) if not name.endswith("__.py"))


def _operator(name: str) -> Any:
    return cosmic_ray.plugins.get_operator(name)()


def _mutants(module: str) -> Iterator[Mutant]:
    text = (ROOT / module).read_text(encoding="utf-8")
    nodes, lines = list(ast_nodes(get_ast(text))), text.splitlines()
    annotated, seen = _annotations(text), Counter[str]()
    for name in cosmic_ray.plugins.operator_names():
        if cosmic_ray.plugins.get_operator(name).arguments():
            continue
        operator = _operator(name)
        places = [first for node in nodes for first, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(places):
            # Nothing computes with an annotation; a jaxtyping shape is checked in the tests alone.
            if any(first <= (line, column) < last for first, last in annotated):
                continue
            key = f"{module}|{name}|{lines[line - 1].strip()}"
            seen[key] += 1
            yield Mutant(module, line, name, occurrence, f"{key}|{seen[key]}")


def _annotations(text: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end."""
    found = []
    for node in ast.walk(ast.parse(text)):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                end = (part.end_lineno or 0, part.end_col_offset or 0)
                found.append(((part.lineno, part.col_offset), end))
    return found


def _verdict(runner: Runner, mutant: Mutant, cover: Covering) -> Verdict:
    begin = time.monotonic()
    before, after = (ROOT / mutant.module).read_text(encoding="utf-8"), mutant.code()
    path = runner.root / mutant.module
    stat = path.stat()
    caught, by = False, ""
    try:
        path.write_text(after, encoding="utf-8")
        for tests in _batches(mutant, cover):
            expected = sum(cover.seconds[name] for name in tests)
            status, found = runner.run(tests, 20 + 5 * expected, "-x")
            if status != 0:
                caught, by = True, next(iter(found.get("failed", [])), "")
                break
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    if by and by not in cover.alone:
        if runner.run([by], 20 + 5 * cover.seconds[by])[0] != 0:
            raise RuntimeError(f"{by} fails alone, on the unchanged code")
        cover.alone.add(by)
    seconds = round(time.monotonic() - begin, 1)
    digests = digest([mutant.module]), digest([by.partition("::")[0] or mutant.module])
    return Verdict(mutant.key, str(mutant), _diff(before, after), caught, by, seconds, *digests)


def _batches(mutant: Mutant, cover: Covering) -> Iterator[list[str]]:
    """Tests in the order in which they run, in three parts, of `BUDGET` seconds together."""
    line = cover.of(mutant.module, mutant.line)
    rest = set(cover.of_module(mutant.module)) - set(line)
    spent, first, then = 0.0, [], []
    for name in line:
        spent += cover.seconds[name]
        if spent <= BUDGET:
            near = not first or name.partition("::")[0] == first[0].partition("::")[0]
            (first if near and spent <= FIRST else then).append(name)
    last = []
    for name in (name for name in cover.of_module(mutant.module) if name in rest):
        spent += cover.seconds[name]
        if spent <= BUDGET:
            last.append(name)
    yield from filter(None, (first, then, last))


def _diff(before: str, after: str) -> str:
    """The changed lines in one."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    changed = [line[0] + line[1:].rstrip() for line in lines if line[0] in "-+"]
    return " ".join(" ".join(changed).split())


def _equivalents() -> set[str]:
    """The listed mutants: a line of changes, then a line that begins with the reason."""
    lines = EQUIVALENTS.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line.startswith("-")}
