"""`python -m campaigns [--share 0.05] [--seed 0] [NAME...]`: attack, and print what held."""

import argparse
import sys
import time

from campaigns.commands import command_lines, signals, starts
from campaigns.library import library
from campaigns.mutation import mutation
from campaigns.runs import damaged, full_disk, kills, two_writers

CAMPAIGNS = {
    "kills": kills,
    "signals": signals,
    "command-lines": command_lines,
    "library": library,
    "damaged-files": damaged,
    "two-writers": two_writers,
    "full-disk": full_disk,
    "starts": starts,
    "mutation": mutation,
}


def main() -> int:
    """0 if nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m campaigns", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CAMPAIGNS))
    parser.add_argument("--share", type=float, default=1.0, help="of the full number of tries")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if unknown := set(asked.names) - CAMPAIGNS.keys():
        parser.error(f"no campaign is called {', '.join(sorted(unknown))}")
    rows = []
    for name in asked.names or CAMPAIGNS:
        begin = time.monotonic()
        found = CAMPAIGNS[name](asked.share, asked.seed)
        rows.append((name, found.tried, len(found.violations), time.monotonic() - begin))
        for violation in found.violations:
            print(f"{name}: {violation}", file=sys.stderr, flush=True)
    print(f"{'campaign':16}{'tried':>8}{'violations':>12}{'seconds':>9}   seed {asked.seed}")
    for name, tried, violations, seconds in rows:
        print(f"{name:16}{tried:8}{violations:12}{seconds:9.0f}")
    return int(any(violations for _, _, violations, _ in rows))


sys.exit(main())
