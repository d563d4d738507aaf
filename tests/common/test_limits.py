"""Sizes are refused before anything of that size is made, and the largest one named does work."""

import math
import re
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from orderdp_theory import (
    Design,
    RankDesign,
    best_population_step_size,
    chi,
    choose,
    draw_ranks,
    error_bound_from_norms,
    horvitz_thompson_joint,
    inclusion_probabilities,
    inclusion_probabilities_ball,
    inclusion_probabilities_exact,
    is_convex,
    joint_inclusion_probabilities,
    pivotal_joint,
    rank_design_probabilities,
    stored_score_counterexample,
)
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import memory, require_at_most, require_room

RNG = np.random.default_rng(0)
HUGE = Design(10**12, 10**6, 10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: inclusion_probabilities(HUGE),
        lambda: joint_inclusion_probabilities(HUGE),
        lambda: chi(Design(10**12, 10, 10)),
        lambda: inclusion_probabilities_exact(Design(10**8, 10**4, 10)),
        lambda: inclusion_probabilities_exact(Design(10**6, 10**6 // 2, 10)),
        lambda: inclusion_probabilities_ball(HUGE),
        lambda: inclusion_probabilities_ball(Design(100, 50, 5), 10**30),
        lambda: inclusion_probabilities_ball(Design(100, 50, 5), 10**9),
        lambda: inclusion_probabilities_ball(Design(10**7, 50, 5), 10**5),
        lambda: horvitz_thompson_joint(Design(10**7, 50, 5), 2),
        lambda: error_bound_from_norms(np.ones(10**6), np.ones(10**6), Design(10**6, 50, 5)),
        lambda: rank_design_probabilities(RankDesign.lowest(10**12, 50, 5)),
        lambda: is_convex(RankDesign.mixed(10**8, 50, 5, 5)),
        lambda: draw_ranks(Design(10**6, 10**5, 10**5), 10**9, RNG),
        lambda: draw_ranks(HUGE, 1, RNG),
        lambda: best_population_step_size(Design(3, 2, 1), 1, 1, 10**12),
        lambda: stored_score_counterexample(10**10),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_made(call: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"must (be at most|not exceed) [\d,^]+"):
            call()
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_the_largest_size_that_is_named_is_accepted() -> None:
    for power in (1, 2):
        with pytest.raises(InputError) as refused:
            require_room("things", 10**18, 8, power=power)
        named = re.search(r"at most ([\d,]+) here", str(refused.value))
        assert named is not None
        largest = int(named[1].replace(",", ""))
        require_room("things", largest, 8, power=power)
        assert largest == int((memory() // 2 / 8) ** (1 / power))
        with pytest.raises(InputError):
            require_room("things", largest + 1, 8, power=power)
    require_at_most("things", 5, 5, "why")
    with pytest.raises(InputError, match=r"things must be at most 5, got 6: why"):
        require_at_most("things", 6, 5, "why")


# A mebibyte of memory, half of which is 524,288 bytes, over the bytes of a sample, pair, step, …
NAMED = [
    (lambda: inclusion_probabilities(Design(10**5, 10, 2)), "n", 524288 // 32),
    (lambda: horvitz_thompson_joint(Design(300, 50, 5), 2), "n", math.isqrt(524288 // 32)),
    (lambda: choose(np.eye(200), np.arange(200.0), 5), "n", math.isqrt(524288 // 16)),
    (lambda: pivotal_joint(np.full(500, 0.5)), "n", math.isqrt(524288 // 16)),
    (lambda: draw_ranks(Design(100, 10, 5), 10**6, RNG), "size", 524288 // 48),
    (lambda: best_population_step_size(Design(3, 2, 1), 1, 1, 10**5), "steps", 524288 // 128),
    (
        lambda: error_bound_from_norms(np.ones(999), np.ones(999), Design(999, 50, 5), 1),
        "n",
        math.isqrt(524288 // 64),
    ),
    # 4 (n - s + q) numbers of so many bits, exact ones of those of C(n, s), and 50 bytes besides.
    (lambda: inclusion_probabilities_ball(Design(100, 50, 5), 10**5), "bits", 524288 * 8 // 220),
    (
        lambda: inclusion_probabilities_ball(Design(10**4, 5000, 500), 64),
        "n",
        int(524288 / (4 * 0.55 * 58)),
    ),
    (
        lambda: inclusion_probabilities_exact(Design(2001, 1000, 400)),
        "n",
        int(2001 * (524288 / (4 * 1401 * (math.log2(math.comb(2001, 1000)) / 8 + 50))) ** 0.5),
    ),
]


@pytest.mark.parametrize(("call", "name", "largest"), NAMED)
def test_the_size_that_is_named(
    call: Callable[[], object], name: str, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orderdp_theory.common.limits.memory", lambda: 2**20)
    with pytest.raises(InputError, match=rf"^{name} must be at most {largest:,} here"):
        call()
