"""Changes of the code that no test notices, by cosmic-ray on a seeded sample.

A mutant is one changed operator, number, comparison or decorator. The tests of its room run on it
in a copy of the repository until one fails. `equivalents.txt` lists mutants that compute the same,
with the reason; the score is the share of all others that are caught.
"""

import ast
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from campaigns.outcome import Outcome, times

ROOT = Path(__file__).parents[1]
EQUIVALENTS = Path(__file__).with_name("equivalents.txt")
MUTANTS = 400
SCORE = 0.98
TIMEOUT = 600.0
# Which tests know a module: those of its name first, then those of its room.
ROOMS = {
    "orderdp_theory": ("tests/theory", "tests/common", "tests/cli"),
    "orderdp_train/rules": ("tests/rules", "tests/test_users_rule.py", "tests/auditing"),
    "orderdp_train/auditing": ("tests/auditing", "tests/report"),
    "orderdp_train/runs": ("tests/runs",),
}
SAMPLER = "orderdp_train/training/sampler.py"


@dataclass(frozen=True)
class Mutant:
    """One row of a session of cosmic-ray, and what it says of it after the tests."""

    module: str
    session: Path
    job: str
    operator: str
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} {self.operator}"


def mutation(share: float, seed: int) -> Outcome:
    """Survivors are violations only if the score is below `SCORE`."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place, "copy")
        for name in _git("ls-files", "-z").split("\0")[:-1]:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
        mutants = [m for module in modules() for m in _mutants(module, copy, Path(place))]
        mutants.sort(key=str)
        sample = random.Random(seed).sample(mutants, min(times(share, MUTANTS), len(mutants)))
        equivalent = _equivalents()
        survivors = []
        for mutant in sample:
            survived, diff = _survives(mutant, copy)
            if survived and diff in equivalent:
                continue
            outcome.tried += 1
            if survived:
                survivors.append(f"{mutant}: {diff}")
                print(f"survived  {mutant}: {diff}", flush=True)
            print(f"mutants   {outcome.tried}, not caught {len(survivors)}", flush=True)
        caught = 1 - len(survivors) / max(outcome.tried, 1)
        if caught < SCORE:
            outcome.violations = survivors
    return outcome


def modules() -> list[str]:
    """The modules that are changed."""
    found = [str(p.relative_to(ROOT)) for p in (ROOT / "orderdp_theory").glob("*.py")]
    for room in ROOMS:
        if room != "orderdp_theory":
            found += [str(p.relative_to(ROOT)) for p in (ROOT / room).glob("*.py")]
    return sorted(name for name in (*found, SAMPLER) if not name.endswith("__.py"))


def tests_of(module: str) -> list[str]:
    """Files and folders of tests, the likeliest to notice a change first."""
    if module == SAMPLER:
        return ["tests/training/test_sampler.py", "tests/training", "tests/integrations"]
    room = str(Path(module).parent)
    own = ROOT / ROOMS[room][0] / f"test_{Path(module).stem.lstrip('_')}.py"
    return [str(own.relative_to(ROOT))] * own.exists() + list(ROOMS[room])


def _mutants(module: str, copy: Path, place: Path) -> Iterator[Mutant]:
    session = place / f"{module.replace('/', '.')}.sqlite"
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(tests_of(module))}"
    config = session.with_suffix(".toml")
    config.write_text(
        f'[cosmic-ray]\nmodule-path = ["{module}"]\ntimeout = {TIMEOUT}\n'
        f'excluded-modules = []\ntest-command = "{command}"\n'
        '[cosmic-ray.distributor]\nname = "local"\n',
        encoding="utf-8",
    )
    _cosmic_ray("init", config, session, cwd=copy)
    annotated = _annotations(copy / module)
    with sqlite3.connect(session) as database:
        rows = database.execute(
            "SELECT job_id, operator_name, start_pos_row, start_pos_col FROM mutation_specs"
        ).fetchall()
    for job, operator, line, column in rows:
        # Nothing computes with an annotation; a jaxtyping shape is checked in the tests alone.
        if not any(first <= (line, column) < last for first, last in annotated):
            yield Mutant(module, session, job, operator.removeprefix("core/"), line)


def _annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                end = (part.end_lineno or 0, part.end_col_offset or 0)
                found.append(((part.lineno, part.col_offset), end))
    return found


def _survives(mutant: Mutant, copy: Path) -> tuple[bool, str]:
    """Whether all tests pass on it, and the changed lines."""
    with sqlite3.connect(mutant.session) as database:
        database.execute("DELETE FROM work_items WHERE job_id != ?", (mutant.job,))
        kept = database.execute(
            "SELECT * FROM mutation_specs WHERE job_id = ?", (mutant.job,)
        ).fetchall()
        others = database.execute(
            "SELECT * FROM mutation_specs WHERE job_id != ?", (mutant.job,)
        ).fetchall()
        database.execute("DELETE FROM mutation_specs WHERE job_id != ?", (mutant.job,))
    _cosmic_ray("exec", mutant.session.with_suffix(".toml"), mutant.session, cwd=copy)
    with sqlite3.connect(mutant.session) as database:
        outcome, diff = database.execute("SELECT test_outcome, diff FROM work_results").fetchone()
        database.execute("DELETE FROM work_results")
        slots = ",".join("?" * len(kept[0]))
        database.executemany(f"INSERT INTO mutation_specs VALUES ({slots})", others)
        jobs = [(row[-1],) for row in others]
        database.executemany("INSERT INTO work_items VALUES (?)", jobs)
    changed = [
        line.rstrip()
        for line in diff.splitlines()
        if line[:1] in "+-" and not line.startswith(("+++", "---"))
    ]
    return outcome == "SURVIVED", " ".join(" ".join(changed).split())


def _equivalents() -> set[str]:
    """The listed mutants: a line of changes, then a line that begins with the reason."""
    lines = EQUIVALENTS.read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line.startswith("-")}


def _cosmic_ray(*words: object, cwd: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(cwd), "CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-m", "cosmic_ray.cli", *map(str, words)],
        cwd=cwd,
        env=environment,
        check=True,
        capture_output=True,
    )


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
