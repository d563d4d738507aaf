"""`python -m orderdp_theory` is the command `orderdp-theory`."""

from orderdp_command import theory

theory()
