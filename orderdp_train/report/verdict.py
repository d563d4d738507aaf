"""What an audit found, in sentences computed from its numbers."""

from __future__ import annotations

import math

from orderdp_train.auditing.result import RuleAudit
from orderdp_train.report.document import Document

# Below these a direction or a length counts as that of the full gradient.
SAME_DIRECTION = 0.5  # degrees
SAME_LENGTH = 0.005


def angle(cosine: float) -> float:
    """Degrees between two vectors of this cosine."""
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


# Of a grid, only the extremes are put into words.
MOST_SENTENCES = 8


def gradient_in_words(rule: RuleAudit) -> str:
    """Length and direction of the expected gradient, such as "1.6× as long and 3° off"."""
    degrees = angle(rule.cosine)
    same_length = abs(rule.scale - 1) < SAME_LENGTH
    if degrees < SAME_DIRECTION:
        if same_length:
            return "the full gradient itself"
        return f"a gradient {rule.scale:.2g}× as long as the full one, in the same direction"
    digits = f"{rule.scale:.2g}"
    length = "as long as the full one" if digits in ("1", "1.0") else f"{digits}× as long"
    return f"a gradient {length} and {degrees:.0f}° off"


def verdicts(document: Document) -> list[str]:
    """One sentence a rule at the last point, those furthest from the full gradient first.

    Then one on whether every rule's code has the expectation it states.
    """
    last = sorted(document.last(), key=lambda row: -row[1].bias)
    if len(last) > MOST_SENTENCES:
        last = [last[0], last[-1]]
    kept = {rule.method: f"{100 * rule.kept_fraction:.0f} %" for _, rule in last}
    sentences = [
        f"{rule.method} at {kept[rule.method]} kept follows {gradient_in_words(rule)}."
        for _, rule in last
    ]
    tests = [rule.agreement for _, rule in document.rows() if rule.agreement is not None]
    alarms = sorted(
        {r.method for _, r in document.rows() if r.agreement is not None and r.agreement.alarm}
    )
    if alarms:
        sentences.append(
            f"The selections of {', '.join(alarms)} do not have the expectation that they state."
        )
    elif tests:
        rate = sum(test.level for test in tests)
        sentences.append(
            f"All {len(tests)} tests of {tests[0].draws} selections each agree with the closed "
            f"form (chance of any false alarm: {100 * rate:.2g} %)."
        )
    return sentences
