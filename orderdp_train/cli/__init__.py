"""Commands of `orderdp-train`."""

from orderdp_train.cli.app import main

__all__ = ["main"]
