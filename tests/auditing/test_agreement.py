"""The test of a rule's stated expectation: its false-alarm rate, and the wrong rules it catches."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from orderdp_theory import Design
from orderdp_train.auditing.agreement import (
    LEAST_DRAWS,
    ROUNDING,
    Draws,
    agreement,
    contrasts,
    drawn_of,
    mean_weights,
    ranks,
    selections,
)
from orderdp_train.rules import (
    FullData,
    InfoBatch,
    OrderDP,
    RandomSubset,
    SelectionRule,
    UnbiasedOrderDP,
)

N = 60
LEVEL = 0.01


def losses() -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def draw(rule: SelectionRule, features: Tensor, draws: int, generator: torch.Generator) -> Draws:
    found = drawn_of(rule.n, selections(rule, draws, generator), features)
    assert found is not None
    return found


def p_value(rule: SelectionRule, draws: int = 400, seed: int = 0) -> float:
    generator = torch.Generator().manual_seed(seed)
    features = contrasts(losses().argsort(), generator)
    return agreement(
        draw(rule, features, draws, generator), features, rule.expected_weights(), LEVEL
    ).p_value


def orderdp(cls: type[OrderDP] = OrderDP) -> OrderDP:
    rule = cls(Design(N, 30, 12))
    rule.update(torch.arange(N), losses().float())
    return rule


class OneTooMany(OrderDP):
    """An off-by-one: it keeps the candidates after the largest."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        candidates = torch.randperm(self.n, generator=generator)[: self.design.s]
        order = self.scores[candidates].argsort(descending=True)
        kept = candidates[order[1 : self.design.q + 1]]
        return kept, torch.ones(len(kept))


class FirstHalf(RandomSubset):
    """Its random numbers never reach the last tenth of the data."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept = torch.randperm(self.n - self.n // 10, generator=generator)[: self.m]
        return kept, torch.ones(self.m)


class Unweighted(InfoBatch):
    """InfoBatch that forgets to weight what it keeps of the easy samples."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept, weights = super().select(generator)
        return kept, torch.ones_like(weights)


class Forgetful(FullData):
    """Deterministic, and one sample short: there is no variance to hide behind."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return torch.arange(self.n - 1), torch.ones(self.n - 1)


def wrong_rules() -> list[SelectionRule]:
    unweighted = Unweighted(N)
    unweighted.update(torch.arange(N), losses().float())
    return [orderdp(OneTooMany), FirstHalf(N, 20), unweighted, Forgetful(N)]


@pytest.mark.parametrize("rule", wrong_rules(), ids=lambda rule: type(rule).__name__)
def test_wrong_rules_are_caught(rule: SelectionRule) -> None:
    assert p_value(rule) < 1e-6


class Heavier(UnbiasedOrderDP):
    """Wrong in total weight alone, by one part in fifty; the total itself is random."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept, weights = super().select(generator)
        return kept, 1.02 * weights


class Longer(OrderDP):
    """The same with a total that is not random, by one part in ten thousand."""

    def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        kept, weights = super().select(generator)
        return kept, 1.0001 * weights


def test_a_rule_wrong_in_total_weight_alone_is_caught() -> None:
    """At the least level that an audit of 30 tests has; each has a right twin, which passes."""
    level = 0.01 / 30
    unbiased = (Heavier(Design(N, 30, 12), 6), UnbiasedOrderDP(Design(N, 30, 12), 6))
    for rule in unbiased:
        rule.update(torch.arange(N), losses().float())
    for wrong, right in (unbiased, (orderdp(Longer), orderdp())):
        assert p_value(wrong) < level < p_value(right)


@pytest.mark.parametrize("kept", [1, 4])
def test_false_alarms_at_the_fewest_draws_of_few_samples(kept: int) -> None:
    """500 audits at level 0.01 of a tiny subset, with gradients of long tails in the projections.

    A correct test exceeds the binomial bound with probability 1e-4, at seeds fixed beforehand.
    """
    n, trials = 1500, 500
    generator = torch.Generator().manual_seed(0)
    long = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    long *= torch.randn(n, 1, generator=generator, dtype=torch.float64).mul(2).exp()
    order, rule = torch.randperm(n, generator=generator), RandomSubset(n, kept)

    def alarms(projections: Tensor) -> int:
        found = 0
        for seed in range(trials):
            own = torch.Generator().manual_seed(seed + 1)
            features = torch.cat([contrasts(order, own), projections], 1)
            drawn = draw(rule, features, LEAST_DRAWS, own)
            found += agreement(drawn, features, rule.expected_weights(), LEVEL).alarm
        return found

    most = stats.binom.isf(1e-4, trials, LEVEL)
    assert alarms(ranks(long)) <= most
    if kept == 1:  # the twin: projections as they are
        assert alarms(long) > most


@pytest.mark.parametrize("s", [N - 1, N - 3])
def test_false_alarms_of_a_rule_that_is_almost_certain(s: int) -> None:
    """What varies in one draw of a dozen is often not seen at all, and must not count as wrong."""
    rule = OrderDP(Design(N, s, 4))
    rule.update(torch.arange(N), losses().float())
    alarms = sum(p_value(rule, LEAST_DRAWS, seed) < LEVEL for seed in range(200))
    assert alarms <= stats.binom.isf(1e-4, 200, LEVEL)


def test_p_values_of_right_rules_are_not_too_small() -> None:
    """One-sided Kolmogorov-Smirnov over 90 audits; false-alarm rate 1e-3 at seeds fixed beforehand.

    The p-value of three tests together is an upper bound, so it may be larger than uniform.
    """
    info = InfoBatch(N)
    info.update(torch.arange(N), losses().float())
    rules = [orderdp(), RandomSubset(N, 20), info]
    values = [p_value(rule, 100, seed) for rule in rules for seed in range(30)]
    assert stats.kstest(values, "uniform", alternative="greater").pvalue > 1e-3
    assert min(values) < 0.5  # and it is not always 1


def test_a_rule_without_randomness_matches_exactly() -> None:
    features = contrasts(losses().argsort(), torch.Generator())
    rule = FullData(N)
    found = agreement(
        draw(rule, features, 10, torch.Generator()), features, rule.expected_weights(), LEVEL
    )
    assert (found.p_value, found.dimensions, found.alarm) == (1.0, 0, False)


@pytest.mark.parametrize(("off", "alarm"), [(1.0, False), (2.0, True)])
def test_a_total_that_never_varies_may_be_off_by_rounding_and_no_more(
    off: float, alarm: bool
) -> None:
    """Weights of both signs, whose stated total is just 0 and that of their sizes just 1."""
    none, weights = torch.zeros(2, 1).double(), torch.tensor([0.5, -0.5]).double()
    totals = torch.full((8,), off * ROUNDING, dtype=torch.float64)
    draws = Draws(0 * totals[:, None], totals, torch.tensor([8, 8]), none[:, 0], none[:, 0], 2.0)
    assert agreement(draws, none, weights, LEVEL).alarm == alarm


def test_weights_that_vary_from_draw_to_draw_are_no_alarm() -> None:
    """How often a sample is drawn then says nothing about its weight. False alarms: `LEVEL`."""

    class Varying(RandomSubset):
        def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            indices, weights = super().select(generator)
            return indices, weights * (0.5 + torch.rand(len(weights), generator=generator))

    assert p_value(Varying(N, 12)) > LEVEL


def test_mean_weights_of_selections_in_pieces_of_any_length() -> None:
    """Each is checked as often as its shapes are, which look at one piece by chance."""
    rule, draws = RandomSubset(N, 2), 7
    pieces = [list(selections(rule, k, torch.Generator().manual_seed(k))) for k in (3, 4)]
    drawn = [piece for some in pieces for piece in some]
    counted = torch.zeros(N, dtype=torch.float64)
    for _, indices, _ in drawn:
        counted += torch.bincount(indices, minlength=N)
    for _ in range(20):
        torch.testing.assert_close(mean_weights(N, drawn), counted / 2 / draws)


def test_bad_selections_and_too_few_draws() -> None:
    class Empty(RandomSubset):
        def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0)

    class Outside(RandomSubset):
        def select(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            return torch.tensor([self.n]), torch.ones(1)

    features = contrasts(losses().argsort(), torch.Generator())
    with pytest.raises(ValueError, match="m at least 1"):
        draw(Empty(N, 2), features, 10, torch.Generator())
    with pytest.raises(ValueError, match=r"outside 0\.\.59"):
        draw(Outside(N, 2), features, 10, torch.Generator())
    with pytest.raises(ValueError, match="at least two draws"):
        draw(RandomSubset(N, 2), features, 1, torch.Generator())
    few = draw(RandomSubset(N, 2), features, 4, torch.Generator())
    with pytest.raises(ValueError, match="take more than"):
        agreement(few, features, RandomSubset(N, 2).expected_weights(), LEVEL)
