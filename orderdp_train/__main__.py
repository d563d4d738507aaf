"""`python -m orderdp_train`, which `torchrun` needs."""

from orderdp_train.cli import main

main()
