"""Run by torchrun: both processes walk, the first writes what came out.

Arguments: the file, the samples a batch.
"""

import sys

import torch
import torch.distributed as dist

from orderdp_train.audit import expected_gradients
from tests.audit.problem import small

if __name__ == "__main__":
    dist.init_process_group("gloo")
    problem = small()
    weights = torch.rand(3, len(problem.losses), generator=torch.Generator().manual_seed(0))
    found = expected_gradients(
        problem.model, problem.population, weights, batch_size=int(sys.argv[2])
    )
    if dist.get_rank() == 0:
        torch.save(found, sys.argv[1])
    dist.destroy_process_group()
