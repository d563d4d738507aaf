"""`python -m orderdp_train`, which `torchrun` needs, is the command `orderdp-train`."""

from orderdp_command import train

train()
