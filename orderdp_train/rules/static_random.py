"""Uniform static pruning."""

from collections.abc import Mapping
from typing import Any, Self

from orderdp_train.rules.base import drawn_once, random_subset, rounded
from orderdp_train.rules.fixed_subset import FixedSubset
from orderdp_train.rules.option import KEEP
from orderdp_train.rules.registry import Setting, register


@register
class StaticRandom(FixedSubset):
    """A uniform subset, drawn once for the whole training.

    Over that draw it is unbiased for the mean loss; for the training that has drawn it, it follows
    the mean loss of its subset.

    Example:
        >>> rule = build_rule("static-random", 4, keep=0.5, seed=0)
        >>> generator = torch.Generator().manual_seed(1)
        >>> torch.equal(rule.select(generator)[0].sort()[0], rule.select(generator)[0].sort()[0])
        True
    """

    name, label, colour, marker = "static-random", "static random", "", ""
    order = 19
    options = {"keep": KEEP}
    made_from = ""

    @classmethod
    def build(cls, setting: Setting, options: Mapping[str, Any]) -> Self:
        m = rounded(options["keep"], setting.n)
        generator = drawn_once(setting.seed)
        subset = random_subset(setting.n, m, generator, generator.device)
        return cls(setting.n, subset, device=setting.device)
