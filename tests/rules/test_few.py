"""A few samples of very many: draws, places and ranks that cost no pass over all of them."""

import itertools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from orderdp_theory import Design
from orderdp_train.rules import OrderDP, UnbiasedOrderDP, base, ordered, unbiased
from orderdp_train.rules.base import few, others, random_subset, top, where_scattered, where_true
from orderdp_train.rules.ordered import AscendingScores
from tests.rules.laws import FALSE_ALARM, smallest_p_value

IMAGENET = 1_281_167
CPU = torch.device("cpu")


@pytest.fixture
def always_few(monkeypatch):
    for module in (base, ordered, unbiased):
        monkeypatch.setattr(module, "few", lambda n, m: True)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def p_value_of_uniform(draw, n: int, m: int, draws: int = 4000) -> float:
    """Of the number of times that each ordered choice of m of n comes up, Bonferroni-corrected."""
    counts = dict.fromkeys(itertools.permutations(range(n), m), 0)
    for _ in range(draws):
        chosen = tuple(draw())
        if chosen not in counts:
            return 0.0
        counts[chosen] += 1
    found = np.array(list(counts.values()))
    chance = 1 / len(counts)
    tails = np.minimum(binom.cdf(found, draws, chance), binom.sf(found - 1, draws, chance))
    return float(np.min(2 * tails) * len(counts))


@pytest.mark.usefixtures("always_few")
def test_every_ordered_choice_is_equally_likely():
    generator = seeded()
    draw = lambda: random_subset(4, 2, generator, CPU).tolist()  # noqa: E731
    assert p_value_of_uniform(draw, 4, 2) > FALSE_ALARM


@pytest.mark.parametrize(
    "wrong",
    [
        lambda rng: rng.choice(4, 2, replace=False, shuffle=False),
        lambda rng: rng.integers(0, 4, 2),
        lambda rng: np.sort(rng.choice(4, 2, replace=False)),
    ],
    ids=["in no random order", "with replacement", "sorted"],
)
def test_other_choices_are_seen(wrong):
    rng = np.random.default_rng(0)
    assert p_value_of_uniform(lambda: wrong(rng).tolist(), 4, 2) < FALSE_ALARM


def test_few_of_many_need_little_memory():
    assert few(IMAGENET, 1000)
    assert not few(IMAGENET, IMAGENET // 2)
    tracemalloc.start()
    chosen = random_subset(IMAGENET, 1000, seeded(), CPU)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < IMAGENET / 4
    assert len(chosen.unique()) == 1000
    assert 0 <= int(chosen.min()) <= int(chosen.max()) < IMAGENET
    assert torch.equal(chosen, random_subset(IMAGENET, 1000, seeded(), CPU))
    assert not torch.equal(chosen, random_subset(IMAGENET, 1000, seeded(1), CPU))


@given(st.lists(st.booleans(), max_size=30))
def test_places_of_a_mask_with_and_without_a_count(values):
    mask = torch.tensor(values, dtype=torch.bool)
    places = [k for k, value in enumerate(values) if value]
    for found in (where_true, where_scattered):
        assert found(mask, len(places)).tolist() == places


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, float("inf")]), min_size=1, max_size=12), st.data())
def test_the_largest_are_kept_and_of_equal_ones_the_first(values, data):
    q = data.draw(st.integers(0, len(values)))
    best = sorted(range(len(values)), key=lambda i: -values[i])[:q]  # stable
    assert where_true(top(torch.tensor(values), q), q).tolist() == sorted(best)


@given(st.integers(1, 12), st.data())
def test_the_others_are_numbered_in_order(n, data):
    taken = data.draw(st.permutations(range(n)))[: data.draw(st.integers(0, n))]
    left = [i for i in range(n) if i not in taken]
    places = torch.arange(len(left)).flip(0)
    found = others(torch.tensor(taken, dtype=torch.int64), places)
    assert found.tolist() == left[::-1]


updates = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([0.0, 0.5, 1.0, 7.0, 1e38])), max_size=8
)


@given(st.lists(updates, max_size=5), st.booleans())
def test_the_order_is_kept_up_to_date(changes, touched):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordered, "few", lambda n, m: True)
        scores = torch.full((10,), torch.inf)
        ascending = AscendingScores()
        for change in changes:
            assert torch.equal(ascending.of(scores), scores.sort().values)
            # Of a repeated index any value may stay, but it is the same everywhere.
            indices = torch.tensor([i for i, _ in change], dtype=torch.int64)
            ascending.change(scores, indices, torch.tensor([v for _, v in change]))
            if touched:  # by somebody who does not say so
                scores[3] += 1
        assert torch.equal(ascending.of(scores), scores.sort().values)
        replaced = scores + torch.arange(10)
        assert torch.equal(ascending.of(replaced), replaced.sort().values)


def test_few_changes_are_merged_and_not_sorted(monkeypatch):
    scores = torch.rand(20_000, generator=seeded())
    ascending = AscendingScores()
    ascending.of(scores)
    monkeypatch.setattr(torch.Tensor, "sort", refuse_long(torch.Tensor.sort))
    ascending.change(scores, torch.arange(0, 20_000, 100), torch.rand(200, generator=seeded(1)))
    merged = ascending.of(scores)
    monkeypatch.undo()
    assert torch.equal(merged, scores.sort().values)


def refuse_long(sort):
    def guarded(tensor, *args, **kwargs):
        assert len(tensor) < 1000
        return sort(tensor, *args, **kwargs)

    return guarded


TIED = torch.tensor([3.0, 1.0, 1.0, 5.0, 1.0, 2.0, torch.inf, torch.inf])


def rule(scores=TIED) -> UnbiasedOrderDP:
    built = UnbiasedOrderDP(Design(8, 4, 2), 2)
    built.scores.copy_(scores)
    return built


@pytest.mark.usefixtures("always_few")
@pytest.mark.parametrize("scores", [TIED, torch.arange(8.0), torch.ones(8)], ids=str)
def test_the_unbiased_rule_keeps_each_sample_with_its_stated_chance(scores):
    built = rule(scores)
    chance = built.inclusion_probabilities()
    assert smallest_p_value(built, chance) > FALSE_ALARM
    indices, weights = built.select(seeded(7))
    torch.testing.assert_close(weights.double(), 4 / (8 * chance[indices]), rtol=2e-7, atol=0)


@pytest.mark.usefixtures("always_few")
def test_a_wrong_numbering_of_the_others_is_seen(monkeypatch):
    """The last of the 8 - 2 others is never drawn."""
    monkeypatch.setattr(
        unbiased,
        "random_subset",
        lambda n, *rest: random_subset(5 if n == 6 else n, *rest),
    )
    built = rule()
    assert smallest_p_value(built, built.inclusion_probabilities()) < FALSE_ALARM


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0, float("inf")]), min_size=8, max_size=8))
def test_inclusion_of_a_few_is_that_of_all(scores):
    built = rule(torch.tensor(scores))
    found = built.inclusion_at(built.scores)
    error = 8 * 4 / 2 * 2.0**-52
    torch.testing.assert_close(found, built.inclusion_probabilities(), rtol=error, atol=0)


def test_at_imagenets_size_a_step_is_the_estimator():
    """Distinct samples, weights of their ranks, and the merge of what was scored."""
    generator = seeded(3)
    design = Design(IMAGENET, 400, 230)
    built, plain = UnbiasedOrderDP(design, 26), OrderDP(design)
    losses = torch.rand(IMAGENET, generator=generator)
    for one in (built, plain):
        one.update(torch.arange(IMAGENET), losses)
    for _ in range(3):
        indices, weights = built.select(generator)
        assert len(indices.unique()) == 256
        expected = 256 / (IMAGENET * built.inclusion_probabilities()[indices])
        torch.testing.assert_close(weights.double(), expected, rtol=2e-7, atol=0)
        built.update(indices, torch.rand(256, generator=generator))
        plain.update(*plain.select(generator))
