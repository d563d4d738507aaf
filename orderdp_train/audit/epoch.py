"""The gradient that training really follows over an epoch, recorded along a real one.

A selection is drawn once an epoch and reused in minibatches while the parameters move. To measure
what that does, the next epoch is run by the training loop itself on a copy, and at each of its
steps the gradient of the step's minibatch is taken at the parameters of that step.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from orderdp_train.audit.population import Population
from orderdp_train.audit.walk import audit_mode, trainable
from orderdp_train.data import ImageData
from orderdp_train.data.dataset import Batch, Split
from orderdp_train.recipe import Recipe
from orderdp_train.rules import SelectionRule
from orderdp_train.train import train


@dataclass(frozen=True)
class FollowedEpoch:
    """Gradients of one real epoch's minibatches, float64 ``(P,)`` each.

    ``followed`` is their mean over the steps, each at the parameters of its step. ``sized`` is the
    same with steps weighted by their number of samples, ``start`` the gradient of the whole
    selection at the parameters where the epoch began. All on plain images, in eval mode.
    """

    followed: Tensor
    sized: Tensor
    start: Tensor

    def split(self, full: Tensor, expected: Tensor) -> dict[str, Tensor]:
        """What the epoch adds to the causes of :func:`~orderdp_train.audit.split.split_bias`.

        With the bias ``expected - full`` of one selection these add up to ``followed - full``:
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
    data: ImageData,
    rule: SelectionRule,
    recipe: Recipe,
    population: Population,
    state: dict[str, Any],
) -> FollowedEpoch | None:
    """Record the epoch that comes after ``state`` (of a ``TrainState``); None if training is over.

    Nothing given is changed, torch's global generator included. For one selection an epoch
    (``recipe.steps_per_epoch`` None) and one process.
    """
    if state["epoch"] >= recipe.epochs:
        return None
    if recipe.steps_per_epoch is not None:
        raise ValueError("reuse within an epoch exists only if selections are made once an epoch")
    model, rule = copy.deepcopy(model), copy.deepcopy(rule)
    # Drawing changes nothing, so this is the selection that the epoch is about to make.
    draws = torch.Generator()
    draws.set_state(state["random"][0]["draws"])
    indices, weights = rule.select(draws)
    weight_of = torch.zeros(rule.n, dtype=torch.float64)
    weight_of[indices.cpu()] = weights.to("cpu", torch.float64)
    recorder = _Recorder(data, model, population, weight_of)
    with torch.random.fork_rng():
        next(train(model, cast(ImageData, recorder), rule, recipe, resume=state))
    return recorder.result()


class _Recorder:
    """The data, taking the gradient of every training batch before it hands the batch out.

    At that moment the model has the parameters at which the training loop is about to use it.
    """

    def __init__(
        self, data: ImageData, model: nn.Module, population: Population, weight_of: Tensor
    ) -> None:
        self.data, self.model, self.population = data, model, population
        self.weight_of = weight_of
        self.steps = 0
        self.samples = 0
        self.by_step, self.by_sample = self._zero(), self._zero()
        kept = weight_of.nonzero().flatten()
        self.start = self._zero()
        for part in kept.split(CHUNK):
            self.start += self._gradient(part) / len(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)

    def batches(
        self,
        index_batches: Iterable[Tensor],
        split: Split = "train",
        generator: torch.Generator | None = None,
    ) -> Iterator[Batch]:
        for batch in self.data.batches(index_batches, split, generator):
            if split == "train" and generator is not None:
                gradient = self._gradient(batch[0].cpu())
                self.by_sample += gradient
                self.by_step += gradient / len(batch[0])
                self.steps += 1
                self.samples += len(batch[0])
            yield batch

    def result(self) -> FollowedEpoch:
        return FollowedEpoch(self.by_step / self.steps, self.by_sample / self.samples, self.start)

    def _zero(self) -> Tensor:
        parameters = [p for _, p in trainable(self.model)]
        size = sum(p.numel() for p in parameters)
        return torch.zeros(size, dtype=torch.float64, device=parameters[0].device)

    def _gradient(self, indices: Tensor) -> Tensor:
        """``sum_i weight_i grad L_i`` on plain images at the present parameters, ``(P,)``."""
        with audit_mode(self.model), torch.enable_grad():
            losses = self.population.losses(self.model, indices)
            weighted = (self.weight_of[indices].to(losses) * losses).sum()
            parameters = [p for _, p in trainable(self.model)]
            grads = torch.autograd.grad(weighted, parameters, materialize_grads=True)
        return torch.cat([g.flatten() for g in grads]).double()


CHUNK = 512
