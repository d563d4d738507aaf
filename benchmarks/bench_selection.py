"""Selections at ImageNet's size against a bare randperm, gather and topk.

One selection an epoch of each rule, and selection with update at every step, batches of 256: what
a step costs besides training.
"""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design
from orderdp_train.rules import RuleConfig, build_rule
from orderdp_train.training.sampler import RuleSampler

DESIGN = Design.from_ratios(1_281_167)
KEEP = DESIGN.q / DESIGN.n
BATCH = 256
RULES = ("orderdp", "random", "infobatch", "epsilon-greedy", "ucb", "orderdp-unbiased")
# The unbiased rule needs the ranks of all n scores for its weights, hence a full sort.
REQUIRED = dict.fromkeys(RULES, 2.0) | {"orderdp-unbiased": 6.0}


def bare(scores: torch.Tensor, generator: torch.Generator, q: int = DESIGN.q) -> torch.Tensor:
    s = round(q * DESIGN.s / DESIGN.q)
    candidates = torch.randperm(DESIGN.n, generator=generator)[:s]
    return candidates[scores[candidates].topk(q).indices]


def per_step() -> Iterator[Ratio]:
    """OrderDP in at most 1 ms, the unbiased rule in at most 20 ms, where the bare way takes 30."""
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(DESIGN.n, generator=generator)
    for name, at_most in (("orderdp", 1 / 30), ("orderdp-unbiased", 20 / 30)):
        rule, _ = RuleConfig(name).per_step(DESIGN.n, BATCH)
        built = rule.build(DESIGN.n)
        built.update(torch.arange(DESIGN.n), losses)
        sampler = RuleSampler(built, generator)
        fresh = torch.rand(BATCH, generator=generator)

        def step(sampler: RuleSampler = sampler, fresh: torch.Tensor = fresh) -> None:
            sampler.next_loss(sampler.draw(batch_size=BATCH), fresh)

        ours, plain = seconds(step, partial(bare, losses, generator, BATCH), rounds=9, repeat=3)
        yield Ratio(
            f"time of selection and update of a step of {BATCH}, n = {DESIGN.n:,}",
            f"{name} {duration(ours)}",
            f"`randperm`, gather, `topk` {duration(plain)}",
            ours / plain,
            at_most=round(at_most, 2),
        )


def ratios() -> Iterator[Ratio]:
    yield from per_step()
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(DESIGN.n, generator=generator)
    everything = torch.arange(DESIGN.n)
    for name in RULES:
        rule = build_rule(name, DESIGN.n, KEEP)
        rule.update(everything, losses)
        ours, plain = seconds(
            partial(rule.select, generator), partial(bare, losses, generator), rounds=9
        )
        yield Ratio(
            f"time of a selection, n = {DESIGN.n:,}",
            f"{name} {duration(ours)}",
            f"`randperm`, gather, `topk` {duration(plain)}",
            ours / plain,
            at_most=REQUIRED[name],
        )


def main() -> None:
    report(ratios())


if __name__ == "__main__":
    main()
