"""Run by torchrun: both processes audit, the first writes what came out.

Arguments: the file, the samples a batch.
"""

import sys

import torch
import torch.distributed as dist

from orderdp_theory import Design
from orderdp_train.auditing import Audit, audit, expected_gradients
from orderdp_train.rules import OrderDP
from tests.auditing.problem import N, small


def audited(batch_size: int) -> Audit:
    problem = small()
    rule = OrderDP(Design(N, 20, 9), scorer=lambda i: problem.losses[i])
    return audit(problem.model, problem.population, [rule], draws=60, batch_size=batch_size)


if __name__ == "__main__":
    batch_size = int(sys.argv[2])
    dist.init_process_group("gloo")
    problem = small()
    weights = torch.rand(3, len(problem.losses), generator=torch.Generator().manual_seed(0))
    found = expected_gradients(problem.model, problem.population, weights, batch_size=batch_size)
    whole = audited(batch_size).as_dict()
    if dist.get_rank() == 0:
        torch.save((found, whole), sys.argv[1])
    dist.destroy_process_group()
