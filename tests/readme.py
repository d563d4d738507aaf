"""The commands of the README and of the documentation, and the output that they show.

    python -m tests.readme        # run every command again and put its real output into the pages

A ``console`` block holds one command after ``$ `` and its output. A block whose info string ends in
``varies`` shows output that differs from run to run (seconds, folders); it is run but not compared.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"```console( varies)?\n\$ (?P<command>[^\n]+)\n(?P<output>.*?)```", re.DOTALL)
MADE_BY_CI = ("make audit", "make test")  # the two commands that set everything up


@dataclass(frozen=True)
class Command:
    """One command of a page with the output shown below it."""

    line: str
    output: str
    varies: bool


def commands() -> list[Command]:
    found = (m for page in PAGES for m in BLOCK.finditer(page.read_text()))
    return [Command(m["command"], m["output"], m.group(1) is not None) for m in found]


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` as a user in an 100-column terminal would."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    return subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def _refreshed(match: re.Match[str]) -> str:
    if match["command"] in MADE_BY_CI:
        return match[0]
    result = run(match["command"], ROOT)
    if result.returncode:
        raise SystemExit(f"{match['command']}: status {result.returncode}\n{result.stderr}")
    output = "\n".join(row.rstrip() for row in result.stdout.splitlines())
    return f"```console{match[1] or ''}\n$ {match['command']}\n{output}\n```"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(BLOCK.sub(_refreshed, page.read_text()))
