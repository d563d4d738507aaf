"""Draws of kept ranks against the exact distribution.

The seeds are fixed. Each statistical test states its false-alarm rate, the chance that a random
seed would fail it, and has a twin in which the test rejects a wrong sampler.
"""

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from orderdp_theory import (
    Design,
    draw_ranks,
    inclusion_probabilities,
    joint_inclusion_probabilities,
)
from orderdp_theory.sampling import _BLOCK, _coins
from tests.oracles import kept_sets
from tests.strategies import designs

SMALL = [  # coins that are fair, biased and not needed; and, last, sorted choices
    Design(8, 4, 3),
    Design(7, 5, 3),
    Design(7, 4, 4),
    Design(6, 5, 1),
    Design(8, 3, 2),
    Design(30, 29, 28),
    Design(40, 2, 2),
]


def p_value_of_sets(design: Design, ranks: np.ndarray) -> float:
    """Chi-square test of the frequencies of all possible kept sets."""
    sets = Counter(kept_sets(design))
    observed = Counter(map(tuple, ranks.tolist()))
    assert observed.keys() <= sets.keys()
    expected = np.array(list(sets.values())) * len(ranks) / sets.total()
    return float(chisquare([observed[kept] for kept in sets], expected).pvalue)


def smallest_p_value(design: Design, ranks: np.ndarray) -> float:
    """Of the binomial tests of how often each rank is kept, times their number (union bound)."""
    gamma = inclusion_probabilities(design)
    kept = np.bincount(ranks.ravel() - 1, minlength=design.n)
    tails = np.minimum(binom.cdf(kept, len(ranks), gamma), binom.sf(kept - 1, len(ranks), gamma))
    return float(2 * design.n * tails.min())


@given(designs(40), st.integers(0, 3))
def test_shape_and_support(design: Design, size: int) -> None:
    ranks = draw_ranks(design, size, np.random.default_rng(0))
    assert ranks.shape == (size, design.q)
    assert ranks.dtype == np.int64
    assert np.all(np.diff(ranks, axis=1) > 0)
    assert np.all((ranks >= 1) & (ranks <= design.n - design.s + design.q))


def test_many_draws_need_no_more_memory_than_their_ranks_and_a_block() -> None:
    """A block of coins and what is picked of it; all coins of these draws are 12 of them."""
    design, size = Design(2000, 1000, 500), 3000
    tracemalloc.start()
    try:
        draw_ranks(design, size, np.random.default_rng(0))
        assert tracemalloc.get_traced_memory()[1] < 8 * size * (design.q + 10) + 6 * _BLOCK
    finally:
        tracemalloc.stop()


def test_same_seed_same_draws() -> None:
    first, second = (draw_ranks(Design(90, 50, 20), 5, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("design", SMALL, ids=str)
def test_every_kept_set_has_its_probability(design: Design) -> None:
    """False-alarm rate 1e-6 for each design."""
    draws = max(4000, 20 * len(set(kept_sets(design))))
    ranks = draw_ranks(design, draws, np.random.default_rng(10))
    assert p_value_of_sets(design, ranks) > 1e-6


@pytest.mark.parametrize("design", SMALL, ids=str)
def test_candidates_missed_at_first_are_drawn_later(
    design: Design, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only q ranks are looked at, then q of the rest, and so on; false-alarm rate 1e-6."""
    monkeypatch.setattr("orderdp_theory.sampling._enough", lambda design: design.q)
    ranks = draw_ranks(design, 4000, np.random.default_rng(16))
    assert p_value_of_sets(design, ranks) > 1e-6


@pytest.mark.parametrize("design", [Design(7, 5, 3), Design(8, 3, 2), Design(5, 4, 3)], ids=str)
def test_a_sampler_with_replacement_is_caught(design: Design) -> None:
    """The twin: candidates of which each is in with probability s/n, at least q of them."""
    rng = np.random.default_rng(11)
    rows = []
    while len(rows) < 4000:
        candidates = np.flatnonzero(rng.random(design.n) < design.s / design.n) + 1
        if (
            candidates.size >= design.q
            and candidates[design.q - 1] <= design.n - design.s + design.q
        ):
            rows.append(candidates[: design.q])
    assert p_value_of_sets(design, np.array(rows)) < 1e-6


@pytest.mark.parametrize(
    "design", [Design(2000, 1000, 600), Design(2000, 1500, 20), Design(3000, 100, 60)], ids=str
)
def test_every_rank_is_kept_as_often_as_gamma_says(design: Design) -> None:
    """False-alarm rate at most 1e-6 for each design."""
    ranks = draw_ranks(design, 2000, np.random.default_rng(12))
    assert smallest_p_value(design, ranks) > 1e-6
    # The twin: a fifth more candidates.
    more = Design(design.n, design.s * 6 // 5, design.q)
    wrong = draw_ranks(more, 2000, np.random.default_rng(12))
    assert smallest_p_value(design, wrong) < 1e-6


def test_pairs_are_kept_as_often_as_pi_says() -> None:
    """The number of pairs among a band of ranks has mean sum of pi; z-score below 5, rate 6e-7."""
    design = Design(300, 30, 6)
    ranks = draw_ranks(design, 4000, np.random.default_rng(13))
    band = np.arange(20, 100)
    kept = ((ranks > 20) & (ranks <= 100)).sum(axis=1)
    pairs = kept * (kept - 1) / 2
    expected = np.arange(band.size) @ joint_inclusion_probabilities(design)[band]
    assert abs(pairs.mean() - expected) < 5 * pairs.std() / np.sqrt(len(pairs))
    gamma = inclusion_probabilities(design)[band]  # the twin: ranks kept independently
    independent = (gamma.sum() ** 2 - (gamma**2).sum()) / 2
    assert abs(pairs.mean() - independent) > 5 * pairs.std() / np.sqrt(len(pairs))


@pytest.mark.parametrize("p", [0.06, 0.25, 0.3, 0.5, 0.77, 0.99])
def test_coins_come_up_heads_as_often_as_wanted(p: float) -> None:
    """Within the coarseness allowed, sqrt(2) standard deviations, and 5 more: rate 6e-7."""
    heads = _coins(2, 50_000, p, np.random.default_rng(15)).mean()
    assert abs(heads - p) < max(7 * np.sqrt(p * (1 - p) / 100_000), 1 / 256)


@pytest.mark.parametrize(("p", "words"), [(0.5, 1), (0.25, 2), (0.375, 3), (1 / 256, 8)])
def test_coins_take_no_more_random_words_than_they_need(p: float, words: int) -> None:
    """One for each binary digit of p, of which a million coins a row see every one."""
    used, expected = np.random.default_rng(0), np.random.default_rng(0)
    _coins(1, 10**6, p, used)
    for _ in range(words):
        expected.integers(2**64 - 1, size=(1, 15_625), dtype=np.uint64, endpoint=True)
    assert used.random() == expected.random()
