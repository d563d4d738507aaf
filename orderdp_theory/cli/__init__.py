"""Commands of `orderdp-theory`."""

from orderdp_theory.cli.app import main

__all__ = ["main"]
