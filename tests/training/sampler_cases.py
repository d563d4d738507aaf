"""A small regression trained through the sampler, alone and as two processes.

torchrun --nproc-per-node=2 tests/training/sampler_cases.py FOLDER
"""

import copy
import sys
from pathlib import Path

import torch
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from orderdp_theory import Design
from orderdp_train import RULES, FixedSubset, RHOLoss, RuleConfig, RuleSampler, WithIndex
from orderdp_train.training.processes import all_reduce_sum, processes, rank, world_size

N, DIM, PASSES = 41, 3, 3
GENERATOR = torch.Generator().manual_seed(5)
X = torch.randn(N, DIM, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(N, generator=GENERATOR, dtype=torch.float64)
NAMES = [name for name, rule in RULES.items() if not rule.needs_recording]


def losses_at(theta, index):
    return (X[index] @ theta - Y[index]) ** 2


def rule_named(name, scorer=None):
    if name == "rho-loss":
        return RHOLoss(Design(N, 35, 25), Y.abs())
    if name == "fixed-subset":
        return FixedSubset(N, torch.arange(0, N, 2), torch.linspace(0.5, 1.5, 21))
    known = RULES[name].options
    options = {k: v for k, v in {"keep": 0.61, "explore": 0.85}.items() if k in known}
    return RuleConfig(name, options).build(N, epochs=PASSES, scorer=scorer)


def by_target(size):
    """Bucketing: batches of samples with similar targets."""

    def group(indices):
        return list(BatchSampler(sorted(indices, key=Y.__getitem__), size, drop_last=False))

    return group


def plainly(name, batch, *, group=None, losses_at=losses_at, shape=(DIM,), rule=None) -> dict:
    """The same training with the selection, the batches and their weights written out."""
    generator = torch.Generator().manual_seed(1)
    theta = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    rule = rule or rule_named(name, lambda index: losses_at(theta.detach(), index))
    steps = 0
    for epoch in range(PASSES):
        rule.set_epoch(epoch)
        indices, weights = rule.select(generator)
        order = torch.randperm(len(indices), generator=generator)
        indices, weights = indices[order], weights[order].double()
        weight_of = torch.zeros(N, dtype=torch.float64).index_put((indices,), weights)
        batches = indices.split(batch) if group is None else group(indices.tolist())
        told = []
        for part in map(torch.as_tensor, batches):
            losses = losses_at(theta, part)
            told.append(losses.detach())
            (gradient,) = torch.autograd.grad((weight_of[part] * losses).sum() / len(part), theta)
            theta = (theta - 0.05 * gradient).detach().requires_grad_()
            steps += 1
        rule.update(torch.cat([torch.as_tensor(part) for part in batches]), torch.cat(told))
    theta = theta.detach().flatten()
    return {"theta": theta, "scores": getattr(rule, "scores", torch.zeros(0)), "steps": steps}


def close(found: dict, expected: dict) -> None:
    """Sums of at most 41 float64 terms in another order; scores are stored in float32."""
    torch.testing.assert_close(found["theta"], expected["theta"], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(found["scores"], expected["scores"], rtol=1e-6, atol=1e-7)
    assert found["steps"] == expected["steps"]


class Training:
    """Gradient descent on theta `(3,)` through the sampler, `accumulate` batches a step."""

    def __init__(self, name, batch, *, accumulate=1, group=None, workers=0, seed=1):
        self.theta = torch.zeros(DIM, dtype=torch.float64, requires_grad=True)
        rule = rule_named(name, lambda index: losses_at(self.theta.detach(), index))
        self.sampler = RuleSampler(rule, torch.Generator().manual_seed(seed))
        how = (
            {"batch_size": batch, "sampler": self.sampler}
            if group is None
            else {"batch_sampler": self.sampler.batches(group)}
        )
        data = WithIndex(TensorDataset(X, Y))
        self.loader = DataLoader(data, num_workers=workers, **how)
        self.accumulate = accumulate
        self.steps = 0

    def step(self, index):
        losses = losses_at(self.theta, index)
        self.sampler.loss(index, losses, accumulate=self.accumulate).backward()
        if self.sampler.group_complete:
            gradient = all_reduce_sum(self.theta.grad.clone()) / world_size()
            with torch.no_grad():
                self.theta -= 0.05 * gradient
            self.theta.grad = None
            self.steps += 1

    def run(self, passes=PASSES):
        while self.sampler.progress < passes:
            for index, _, _ in self.loader:
                self.step(index)
        return self

    def state_dict(self):
        state = {"theta": self.theta.detach(), "sampler": self.sampler.state_dict()}
        return copy.deepcopy(state)

    def load_state_dict(self, state):
        self.sampler.load_state_dict(state["sampler"])
        self.theta.detach().copy_(state["theta"])

    def result(self):
        rule = self.sampler.rule
        return {
            "theta": self.theta.detach(),
            "scores": getattr(rule, "scores", torch.zeros(0)),
            "told": self.sampler.told[0],
            "steps": self.steps,
        }


def interrupted(name, batch, after):
    """A training that stops after some steps of its second pass and is continued by another."""
    first = Training(name, batch)
    first.run(1)
    for k, (index, _, _) in enumerate(first.loader):
        first.step(index)
        if k + 1 == after:
            break
    second = Training(name, batch, seed=99)
    second.load_state_dict(first.state_dict())
    return second.run()


def main(folder: Path) -> None:
    with processes(torch.device("cpu")):
        results = {name: Training(name, 5).run().result() for name in NAMES}
        results["accumulate"] = Training("infobatch", 5, accumulate=2).run().result()
        results["grouped"] = Training("orderdp", 5, group=by_target(4)).run().result()
        results["few"] = Training("random", 50).run().result()
        results["interrupted"] = interrupted("infobatch", 5, 2).result()
        sampler = RuleSampler(rule_named("full"), torch.Generator().manual_seed(2))
        mine = torch.tensor(list(sampler))
        results["share"] = {"mine": mine, "weights": sampler.weights_of(mine)}
        # Losses in half precision; an index beyond 256 would not survive in bfloat16.
        wide = RuleSampler(RuleConfig("full").build(3000), torch.Generator())
        index = torch.tensor(list(wide))
        wide.loss(index, torch.ones(len(index), dtype=torch.bfloat16, requires_grad=True))
        results["half"] = {"told": wide.told[0]}
        # One process overflows: nobody's samples of that step are scored.
        fp16 = RuleSampler(rule_named("infobatch"), torch.Generator().manual_seed(3))
        for k, part in enumerate(torch.tensor(list(fp16)).split(7)):
            losses = torch.full((len(part),), 2.0)
            if k == 1 and rank() == 1:
                losses[3] = torch.inf
            fp16.loss(part, losses, on_nonfinite="skip")
        results["skipped"] = {"told": fp16.told[0], "scores": fp16.rule.scores}
        try:
            list(RuleSampler(rule_named("random"), torch.Generator().manual_seed(rank())))
        except ValueError as error:
            results["unlike"] = {"error": str(error)}
        state = Training("orderdp", 5).sampler.state_dict()
        state["process"] = [1 - rank(), 2]
        try:
            Training("orderdp", 5).sampler.load_state_dict(state)
        except ValueError as error:
            results["foreign"] = {"error": str(error)}
        torch.save(results, folder / f"{rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
