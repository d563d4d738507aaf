"""What a campaign found."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """How often something was tried, and each time that it went wrong, in a line."""

    tried: int = 0
    violations: list[str] = field(default_factory=list)

    def add(self, problem: str | None) -> None:
        """One more try; None if nothing was wrong with it."""
        self.tried += 1
        if problem is not None:
            self.violations.append(problem)


def times(share: float, full: int) -> int:
    """How many of a full campaign's tries a share of it makes."""
    return max(1, round(share * full))
