"""Run by torchrun: leave a run of two processes in the way named, and look for the group's threads.

torchrun --nproc-per-node=2 tests/train/leaving.py FOLDER WAY

A thread of the group that is still there when the interpreter begins to shut down may abort the
process, if it happens to hold a tensor. Whether it is there is no matter of chance: exit code 99.
"""

import atexit
import os
import signal
import sys
from pathlib import Path


def check_threads() -> None:
    names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    if any("pt_gloo_runloop" in name for name in names):
        os._exit(99)


atexit.register(check_threads)  # the first to be registered is the last to be called

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402

from orderdp_theory import Design  # noqa: E402
from orderdp_theory.common.command import run as command_line  # noqa: E402
from orderdp_train.auditing import audit  # noqa: E402
from orderdp_train.cli.app import app  # noqa: E402
from orderdp_train.rules import OrderDP, RuleConfig  # noqa: E402
from orderdp_train.runs import RunConfig, run  # noqa: E402
from orderdp_train.training.processes import processes, rank  # noqa: E402
from orderdp_train.training.recipe import Recipe  # noqa: E402
from tests.auditing.problem import N, small  # noqa: E402

CONFIG = RunConfig(
    rule=RuleConfig("orderdp", {"keep": 0.1}), recipe=Recipe(epochs=3, batch_size=33)
)


def interrupt() -> None:
    """Ctrl-C in the middle of the next backward pass, in which gradients are averaged."""

    def hook(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    nn.modules.module.register_module_full_backward_hook(hook)


if __name__ == "__main__":
    folder, way = Path(sys.argv[1]), sys.argv[2]
    epochs = run(CONFIG, folder, device="cpu")
    if way == "finished":
        list(epochs)
    elif way == "suspended":
        next(epochs)
    elif way == "closed":
        next(epochs)
        epochs.close()
    elif way == "exception":
        # The first process fails between two collectives, the second one while it waits for it.
        for _ in epochs:
            if rank() == 0:
                raise RuntimeError("as asked")
    elif way == "interrupted":
        next(epochs)
        interrupt()
        next(epochs)
    elif way == "interrupted-command":
        interrupt()
        command_line(app, ["run", f"--out={folder}", "--device=cpu", "--epochs=2"])
    elif way == "audit":
        with processes(torch.device("cpu")):
            problem = small()
            rule = OrderDP(Design(N, 20, 9), scorer=lambda i: problem.losses[i])
            audit(problem.model, problem.population, [rule], draws=60, batch_size=40)
    elif way == "kept":  # the twin: a script that keeps what holds the group
        dist.init_process_group("gloo")
        kept = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
        dist.destroy_process_group()
