"""The gradient that training really follows over an epoch, recorded along a real one.

A selection is drawn once an epoch and reused in minibatches while the parameters move. To measure
what that does, the next epoch is run by the training loop itself on a copy, and at each of its
steps the gradient of the step's minibatch is taken at the parameters of that step.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from orderdp_train.auditing.layers import audit_mode
from orderdp_train.auditing.population import Population
from orderdp_train.auditing.walk import trainable
from orderdp_train.data import TrainTestData
from orderdp_train.rules import SelectionRule
from orderdp_train.training.loop import train
from orderdp_train.training.processes import all_reduce_sum, shard, world_size
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.state import next_draws, shared_by

EPOCH_CAUSES = ("draw", "reuse", "minibatches")


@dataclass(frozen=True)
class FollowedEpoch:
    """Gradients of one real epoch's minibatches, float64 `(P,)` each.

    `followed` is their mean over the steps, each at the parameters of its step. `sized` is the
    same with steps weighted by their number of samples, `start` the gradient of the whole
    selection at the parameters where the epoch began. All on plain images, in eval mode.
    """

    followed: Float64[Tensor, "p"]
    sized: Float64[Tensor, "p"]
    start: Float64[Tensor, "p"]

    def at(self, part: slice) -> FollowedEpoch:
        """The same on some of the parameters."""
        return FollowedEpoch(self.followed[part], self.sized[part], self.start[part])

    def split(
        self, full: Float64[Tensor, "p"], expected: Float64[Tensor, "p"]
    ) -> dict[str, Float64[Tensor, "p"]]:
        """What the epoch adds to the causes of `orderdp_train.auditing.split.split_bias`.

        With the bias `expected - full` of one selection these add up to `followed - full`:
        *draw*, the epoch's selection against its expectation (random, mean zero); *reuse*, the
        parameters moving while the selection stays; *minibatches*, steps of unequal size counting
        the same.
        """
        return {
            "draw": self.start - expected,
            "reuse": self.sized - self.start,
            "minibatches": self.followed - self.sized,
        }


def follow_epoch(
    model: nn.Module,
    data: TrainTestData,
    rule: SelectionRule,
    recipe: Recipe,
    population: Population,
    state: dict[str, Any],
) -> FollowedEpoch | None:
    """Record the epoch that comes after `state` (of a `TrainState`); None if training is over.

    Nothing given is changed, torch's global generator included. For one selection an epoch. All
    processes must call it, however many trained.
    """
    if state["epoch"] >= recipe.epochs:
        return None
    model, rule = copy.deepcopy(model), copy.deepcopy(rule)
    # Drawing changes nothing, so this is the selection that the epoch is about to make.
    indices, weights = rule.select(next_draws(state))
    weight_of = torch.zeros(rule.n, dtype=torch.float64)
    weight_of[indices.cpu()] = weights.to("cpu", torch.float64)
    recorder = _Recorder(model, population, weight_of)
    resume = shared_by(state, world_size())
    with torch.random.fork_rng():
        next(
            train(
                model, data, rule, recipe, resume=resume, evaluated=False, on_step=recorder.record
            )
        )
    return recorder.result()


class _Recorder:
    """Takes the gradient of every training batch where the loop is about to use it.

    Each of several processes takes that of its part of the batch.
    """

    def __init__(self, model: nn.Module, population: Population, weight_of: Tensor) -> None:
        self.model, self.population, self.weight_of = model, population, weight_of
        self.steps = 0
        self.samples = 0
        self.by_step, self.by_sample = self._zero(), self._zero()
        kept = weight_of.nonzero().flatten()
        self.start = self._zero()
        for part in shard(kept).split(CHUNK):
            self.start += self._gradient(part) / len(kept)

    def record(self, indices: Tensor) -> None:
        gradient = self._gradient(indices.cpu())
        size = int(all_reduce_sum(torch.tensor([len(indices)], device=gradient.device)))
        self.by_sample += gradient
        self.by_step += gradient / size
        self.steps += 1
        self.samples += size

    def result(self) -> FollowedEpoch:
        for gradient in (self.by_step, self.by_sample, self.start):
            all_reduce_sum(gradient)
        return FollowedEpoch(self.by_step / self.steps, self.by_sample / self.samples, self.start)

    def _zero(self) -> Tensor:
        parameters = [p for _, p in trainable(self.model)]
        size = sum(p.numel() for p in parameters)
        return torch.zeros(size, dtype=torch.float64, device=parameters[0].device)

    def _gradient(self, indices: Tensor) -> Tensor:
        """`sum_i weight_i grad L_i` on plain images at the present parameters, `(P,)`."""
        with audit_mode(self.model), torch.enable_grad():
            losses = self.population.losses(self.model, indices)
            weighted = (self.weight_of[indices].to(losses) * losses).sum()
            parameters = [p for _, p in trainable(self.model)]
            grads = torch.autograd.grad(weighted, parameters, materialize_grads=True)
        return torch.cat([g.flatten() for g in grads]).double()


CHUNK = 512
