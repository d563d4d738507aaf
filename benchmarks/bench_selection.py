"""One selection of each rule at ImageNet's size against a bare randperm, gather and topk."""

from collections.abc import Iterator
from functools import partial

import torch

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design
from orderdp_train.rules import build_rule

DESIGN = Design.from_ratios(1_281_167)
KEEP = DESIGN.q / DESIGN.n
RULES = ("orderdp", "random", "infobatch", "epsilon-greedy", "ucb", "orderdp-unbiased")
# The unbiased rule needs the ranks of all n scores for its weights, hence a full sort.
REQUIRED = dict.fromkeys(RULES, 2.0) | {"orderdp-unbiased": 6.0}


def bare(scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    candidates = torch.randperm(DESIGN.n, generator=generator)[: DESIGN.s]
    return candidates[scores[candidates].topk(DESIGN.q).indices]


def ratios() -> Iterator[Ratio]:
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
