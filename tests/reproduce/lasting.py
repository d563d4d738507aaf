"""`python -m tests.reproduce.lasting FOLDER`: three trainings in processes, of which two last."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from orderdp_train.reproduce.sweeping import _in_processes


def last(cell: Path) -> None:
    """Begin a file, and note when it ends."""
    cell.write_text(str(os.getpid()))
    try:
        time.sleep(0 if cell.name == "short" else 600)
    finally:
        cell.with_suffix(".over").touch()


if __name__ == "__main__":
    place = Path(sys.argv[1])
    cells: Any = [place / name for name in ("long", "longer", "short")]
    list(_in_processes(cells, last, 3))  # pyright: ignore[reportArgumentType]
