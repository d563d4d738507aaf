"""`python -m orderdp_theory` is the command `orderdp-theory`."""

from orderdp_theory.cli import main

main()
