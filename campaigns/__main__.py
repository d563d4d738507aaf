"""`python -m campaigns [--share 0.05] [--seed 0] [NAME...]`: attack, and print what held.

`mutation:orderdp_theory/risk.py` is the mutation of that module alone, by its own file of tests.
"""

import argparse
import sys
import time

from campaigns.commands import command_lines, signals, starts
from campaigns.library import library
from campaigns.mutation import modules, mutation
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
    known = {*CAMPAIGNS, *(f"mutation:{module}" for module in modules())}
    if unknown := set(asked.names) - known:
        parser.error(f"no campaign is called {', '.join(sorted(unknown))}")
    rows = []
    for name in asked.names or CAMPAIGNS:
        begin = time.monotonic()
        kind, _, module = name.partition(":")
        found = CAMPAIGNS[kind](asked.share, asked.seed, *filter(None, [module]))
        rows.append((name, found.tried, len(found.violations), time.monotonic() - begin))
        for violation in found.violations:
            print(f"{name}: {violation}", file=sys.stderr, flush=True)
    wide = max(16, *(len(name) for name, *_ in rows))
    print(f"{'campaign':{wide}}{'tried':>8}{'violations':>12}{'seconds':>9}   seed {asked.seed}")
    for name, tried, violations, seconds in rows:
        print(f"{name:{wide}}{tried:8}{violations:12}{seconds:9.0f}")
    return int(any(violations for _, _, violations, _ in rows))


sys.exit(main())
