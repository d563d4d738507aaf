"""Trainings as tasks of a Ray cluster, each continued on another node if its own dies."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.reproduce.sweeping import Cell, Ended, Environment, train_cell
from orderdp_train.runs.driver import pick_device

DEATHS = 10  # of nodes, that a training survives
LOOK = 0.5  # seconds between two looks at what has ended
LEAVING = 60.0  # seconds that a process may take to die with its node


def on_cluster(
    cells: Sequence[Cell], root: Path, environment: Environment, address: str
) -> Iterator[Ended]:
    """Train cells wherever the cluster at `address` has room, and yield each when it has ended.

    A task takes a GPU if the device is one ("auto": if the cluster has any) and a core, with those
    that decode its images. `root` and the data must lie where all nodes see them. A task whose node
    dies starts again on another, and continues from its run folder. Left early, it cancels all
    tasks; their folders are continued by the next call.
    """
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError:
        raise InputError("--engine ray needs Ray: pip install 'orderdp[cluster]'") from None
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except ConnectionError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"there is no Ray cluster at {address} ({reason})") from None
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ours)  # Ray has put its own there, which just leaves
        gpus = ray.cluster_resources().get("GPU", 0) if environment.device == "auto" else 0
        device = "cuda" if gpus else environment.device.replace("auto", "cpu")
        here = replace(environment, device=device, root=environment.root.resolve())
        task = ray.remote(max_retries=DEATHS)(_task)
        running = {}
        for cell in cells:
            decoders = environment.num_workers if cell.config.data == "imagenet" else 0
            options = {"num_cpus": 1 + decoders, "num_gpus": 1 if device == "cuda" else 0}
            running[task.options(**options).remote(cell, root.resolve(), here)] = cell
        try:
            while running:
                # Ray may lose what a signal's handler raises within it: wait in Python.
                ended, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
                time.sleep(0 if ended else LOOK)
                for done in ended:
                    cell = running.pop(done)
                    try:
                        yield cell, ray.get(done)
                    except RayError as error:
                        yield cell, error
        finally:
            for rest in running:
                ray.cancel(rest, force=True)
    finally:
        ray.shutdown()


def _task(cell: Cell, root: Path, environment: Environment) -> Exception | None:
    """What a node does; an exception is handed back as it is, and is no reason to try again."""
    torch.set_num_threads(1)
    try:
        pick_device(environment.device)
        cell.folder(root).wait_until_free(LEAVING)
        train_cell(cell, root, environment)
    except Exception as error:
        return error
    return None
