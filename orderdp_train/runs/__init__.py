"""Runs: one training in a folder that survives interruptions."""

from orderdp_train.runs.config import RunConfig
from orderdp_train.runs.driver import run
from orderdp_train.runs.folder import RunFolder
from orderdp_train.runs.history import History

__all__ = ["History", "RunConfig", "RunFolder", "run"]
