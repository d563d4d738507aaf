"""Which trainings of a sweep are at work, as their run folders say, wherever they are trained."""

from collections.abc import Iterable
from pathlib import Path

from orderdp_train.reproduce.sweeping import Cell

NAMED = 8


class AtWork:
    """The trainings that have begun, or gone on, since this was made and are not `over`.

    One whose node has died is among them until it goes on elsewhere. Each look asks for the time
    of one small file of every training that is not over.
    """

    def __init__(self, cells: Iterable[Cell], root: Path) -> None:
        folders = {cell: cell.folders(root) for cell in cells}
        self._rest = {cell: (f, f[-1].last_start()) for cell, f in folders.items()}

    def over(self, cell: Cell) -> None:
        """The training has ended, well or not."""
        self._rest.pop(cell, None)

    def lines(self) -> list[str]:
        """A line for each of the first few, with its finished epochs, and one for how many more."""
        named = [
            f"{folders[-1].path.name}: {sum(f.epochs_finished() for f in folders)} of "
            f"{sum(stage.recipe.epochs for stage in cell.stages)} epochs"
            for cell, (folders, start) in list(self._rest.items())
            if folders[-1].last_start() != start
        ]
        more = len(named) - NAMED
        return [*named[:NAMED], *([f"and {more} more"] if more > 0 else [])]
