"""Every command in the README and the documentation runs, and prints what is shown."""

import re

import pytest

from orderdp_theory.claims import all_claims, decided
from tests import readme


@pytest.mark.parametrize(
    "command",
    [c for c in readme.commands() if c.line not in readme.MADE_BY_CI],
    ids=lambda command: command.line,
)
def test_command_runs_and_prints_what_is_shown(command, tmp_path):
    result = readme.run(command.line, tmp_path)
    assert result.returncode == 0, result.stderr
    if not command.varies:
        printed = [row.rstrip() for row in result.stdout.splitlines()]
        assert printed == [row.rstrip() for row in command.output.splitlines()]


def test_the_readme_is_short_and_shows_the_two_commands():
    text = readme.README.read_text()
    assert len(text.splitlines()) <= 150
    assert all(command in text for command in readme.MADE_BY_CI)
    assert len(readme.commands()) >= 5


FINDING = re.compile(
    r"^\|[^|]+\| (?P<verdict>[a-z ]+) \|.*--only (?P<id>[a-z0-9-]+)`", re.MULTILINE
)


def test_the_findings_have_the_verdicts_that_are_computed(tmp_path):
    findings = [m.groupdict() for m in FINDING.finditer(readme.README.read_text())]
    assert len(findings) == 5
    claims = all_claims()
    for finding in findings:
        assert decided(claims[finding["id"]].check()).verdict == finding["verdict"]
        shown = readme.run(f"orderdp-theory verify --only {finding['id']}", tmp_path)
        assert shown.stdout.splitlines()[-1].endswith(f" 1 {finding['verdict']}")


def test_the_audit_snippet_runs_as_shown(capsys):
    section = readme.README.read_text().split("## Audit your own rule")[1]
    snippet = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert snippet is not None
    exec(compile(snippet[1], "README.md", "exec"), {})
    mine, agrees, seen, orderdp, _, unseen = capsys.readouterr().out.splitlines()
    assert mine.startswith("mine: cosine 0.")
    assert agrees == "  code and statement agree"
    assert seen == "  0 samples are never seen, such as []"
    assert orderdp.startswith("OrderDP: cosine 0.")
    assert unseen.startswith("  100 samples are never seen")
    wrong = snippet[1].replace("torch.ones(150)", "2 * torch.ones(150)")
    exec(compile(wrong, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[1] == "  code and statement differ"
