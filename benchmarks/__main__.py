"""Run the benchmarks named as arguments, `python -m benchmarks weights draw`, or all of them."""

import sys
from importlib import import_module
from pathlib import Path

from benchmarks.common import machine


def main() -> None:
    modules = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    names = sys.argv[1:] or [module.removeprefix("bench_") for module in modules]
    if unknown := {name for name in names if f"bench_{name}" not in modules}:
        known = ", ".join(module.removeprefix("bench_") for module in modules)
        sys.exit(f"error: no benchmark {', '.join(sorted(unknown))}; there are {known}")
    print(machine())
    for name in names:
        print(f"\n{name}", flush=True)
        import_module(f"benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main()
