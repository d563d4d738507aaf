"""What each of two processes does for `test_distributed.py`: a run, and one that is interrupted.

torchrun --nproc-per-node=2 tests/train/two_processes.py FOLDER
"""

import contextlib
import itertools
import sys
from pathlib import Path

import torch

from orderdp_theory.common.command import run as command_line
from orderdp_train.cli.app import app
from orderdp_train.rules import RuleConfig
from orderdp_train.runs import RunConfig, run
from orderdp_train.training.processes import gather_objects, processes
from orderdp_train.training.recipe import Recipe

# The CNN has no BatchNorm and digits are not augmented, so the shards of a batch do not interact
# and sums in another order are all that can differ. "orderdp-fresh" shares its scoring pass too.
CONFIG = RunConfig(
    rule=RuleConfig("orderdp-fresh", {"keep": 0.1, "explore": 0.2}),
    recipe=Recipe(epochs=4, batch_size=33, max_lr=0.1),
)
COMMAND = (
    "run --rule=orderdp-fresh --keep=0.1 --explore=0.2 --epochs=4 --batch-size=33 --max-lr=0.1 "
    "--device=cpu"
)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with processes(torch.device("cpu")):
        with contextlib.suppress(SystemExit):
            command_line(app, [*COMMAND.split(), f"--out={folder / 'whole'}"])
        list(itertools.islice(run(CONFIG, folder / "halves", device="cpu"), 2))
        gather_objects(None)  # all have left the first half before any begins the second
        list(run(CONFIG, folder / "halves", resume=True, device="cpu"))
