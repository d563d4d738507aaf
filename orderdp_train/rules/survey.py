"""What survey sampling recommends: inclusion in proportion to an estimated gradient norm."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from orderdp_theory import pivotal_pairs, pivotal_sample, proportional_inclusion
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.palette import ROSE
from orderdp_train.devices import sent
from orderdp_train.rules.base import (
    ScoredRule,
    Scores,
    Selection,
    Weights,
    check_budget,
    check_generator,
    finite,
    rounded,
)
from orderdp_train.rules.on_device import drawn_on_device, inclusion_on_device
from orderdp_train.rules.option import INITIAL_SCORE, KEEP, Option, as_number
from orderdp_train.rules.pairs import SecondOrder, SequencePairs
from orderdp_train.rules.registry import Setting, register

FLOOR = 0.5


def one_minus_likelihood(losses: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """1 - exp(-loss), what the true label's probability lacks to 1 under cross-entropy.

    The gradient of a cross-entropy in the logits has a norm between this and sqrt(2) times this. A
    negative loss counts as 0.
    """
    return -torch.expm1(-losses.clamp_min(0))


@register
class SurveySampling(ScoredRule):
    """Exactly m samples, included in proportion to `size` of their scores, inversely weighted.

    pi_i = min(1, max(floor m/n, c size(score_i))) with c such that they sum to m, and pivotal
    sampling in the order of the scores, which has just these probabilities. With weights
    m / (n pi_i) the expectation is the gradient of the mean loss whatever the scores, stale or
    fresh. If sizes are the norms of the gradients, no other pi makes the main part of the variance
    smaller, sum |g_i|^2 / pi_i; the rest depends on the gradients' directions. No weight exceeds
    1 / `floor`.

    `size` maps scores to estimated gradient norms, up to a factor; the default is for
    cross-entropy. Samples never used have score `inf` and size 1. A selection costs two sorts of n;
    on a GPU three, on which it is drawn without waiting for it.

    Example:
        >>> rule = SurveySampling(4, 2, floor=0.5, size=lambda scores: scores)
        >>> rule.update(range(4), [6.0, 3.0, 2.0, 1.0])
        >>> rule.inclusion_probabilities().numpy().round(4).tolist()
        [0.9545, 0.4773, 0.3182, 0.25]
        >>> rule.expected_weights().numpy().round(12).tolist()  # unbiased for the mean loss
        [0.25, 0.25, 0.25, 0.25]
    """

    name, label, colour, marker = "survey", "survey sampling", ROSE, "8"
    order = 13
    options = {
        "keep": KEEP,
        "floor": Option(
            FLOOR, "Least inclusion probability in units of q/n.", low=0, high=1, open="low"
        ),
        "initial_score": INITIAL_SCORE,
    }

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        return cls(
            setting.n,
            rounded(options["keep"], setting.n),
            floor=options["floor"],
            initial_score=as_number(options["initial_score"]),
            device=setting.device,
        )

    def __init__(
        self,
        n: int,
        m: int,
        *,
        floor: float = FLOOR,
        size: Callable[[Scores], Scores] = one_minus_likelihood,
        initial_score: float = math.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(n, initial_score=initial_score, device=device)
        if not 0 < floor <= 1:
            raise InputError(f"the floor must lie in (0, 1], got {floor}: 0 leaves no weight")
        self.m = self.budget = check_budget(m, n)
        self.floor, self.size = floor, size

    def select(self, generator: torch.Generator) -> Selection:
        check_generator(generator)
        uniforms = torch.rand(
            2, self.m, generator=generator, device=generator.device, dtype=torch.float64
        )
        device = self.scores.device
        if device.type == "cuda":  # without waiting for it
            order = self.scores.argsort(descending=True, stable=True)
            sizes = self.size(finite(self.scores))
            pi = inclusion_on_device(sizes, self.m, self._least)[order]
            kept = drawn_on_device(pi, self.m, sent(uniforms, device))
        else:
            order, pi = self._sequence()
            kept = torch.from_numpy(pivotal_sample(pi.numpy(), uniforms.cpu().numpy()))
        weights = self.m / (self.n * pi[kept])
        return order[kept].to(device), weights.float().to(device)

    def inclusion_probabilities(self) -> Weights:
        """The chance pi of every sample to be kept at the present scores, float64 `(n,)`."""
        sizes = self.size(finite(self.scores)).cpu().numpy()
        pi = proportional_inclusion(sizes, self.m, self._least)
        return torch.from_numpy(pi).to(self.scores.device)

    @property
    def _least(self) -> float:
        return self.floor * self.m / self.n

    def _sequence(self) -> tuple[Int64[Tensor, "{self.n}"], Weights]:
        """The samples by descending score, and their probabilities in that order, on the CPU."""
        order = self.scores.argsort(descending=True, stable=True)
        return order.cpu(), self.inclusion_probabilities()[order].cpu()

    def expected_weights(self, scores: Scores | None = None) -> Weights:
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64, device=self.scores.device)

    def second_order(self) -> SecondOrder:
        order, in_order = self._sequence()
        pairs = pivotal_pairs(in_order.numpy())
        inclusion = self.inclusion_probabilities().cpu()
        recurrence = (torch.from_numpy(x) for x in (pairs.loss, pairs.gain, pairs.decay))
        sequence = SequencePairs(order, *recurrence)
        return SecondOrder(inclusion, 1 / (self.n * inclusion), product=1.0, sequence=sequence)
