"""Survey sampling: exact probabilities and pairs, unbiased for any scores, the stated variance."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orderdp_theory import pivotal_covariance_trace, pivotal_sample, proportional_inclusion
from orderdp_train import audit
from orderdp_train.auditing import covariance
from orderdp_train.rules import RandomSubset, SurveySampling, build_rule
from orderdp_train.rules.on_device import drawn_on_device, inclusion_on_device
from orderdp_train.rules.survey import one_minus_likelihood
from tests.auditing.problem import small
from tests.oracles import fight_by_fight
from tests.rules.laws import FALSE_ALARM, same_after_reload, smallest_p_value, stated_joint
from tests.theory.test_pivotal import drawn as law_of
from tests.theory.test_pivotal import probabilities
from tests.theory.test_proportional import exact, problems
from tests.training.pretend import GPU, PretendedGPU

SCORES = st.lists(
    st.sampled_from([0.0, 1e-9, 0.2, 0.2, 1.0, 7.0, 60.0, math.inf]), min_size=1, max_size=9
)


def rule_with(scores: list[float], m: int, **options) -> SurveySampling:
    rule = SurveySampling(len(scores), m, **options)
    rule.scores.copy_(torch.tensor(scores))
    return rule


@given(SCORES, st.data())
@settings(max_examples=60, deadline=None)
def test_unbiased_at_an_exact_budget_whatever_the_scores(scores, data):
    n = len(scores)
    m = data.draw(st.integers(1, n))
    floor = data.draw(st.sampled_from([1e-3, 0.5, 1.0]))
    rule = rule_with(scores, m, floor=floor)
    pi = rule.inclusion_probabilities().numpy()
    assert pi.sum() == pytest.approx(m, rel=1e-13)
    assert pi.min() >= floor * m / n
    # Horvitz-Thompson: chance times weight is 1/n, the expected weight of every sample.
    indices, weights = rule.select(torch.Generator().manual_seed(0))
    assert len(indices) == len(indices.unique()) == m == rule.budget
    np.testing.assert_allclose(pi[indices] * weights.numpy() / m, 1 / n, rtol=1e-6)
    assert float(weights.max()) <= 1 / floor * (1 + 1e-6)
    assert rule.expected_weights().tolist() == [1 / n] * n
    sizes = np.clip(-np.expm1(-np.array(scores)), 0, 1)
    free = (pi > floor * m / n * (1 + 1e-9)) & (pi < 1) & (sizes > 0)
    if free.sum() > 1:  # in proportion to 1 - exp(-loss), rounded to float32 before
        ratio = pi[free] / sizes[free]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    design = rule.second_order()
    np.testing.assert_allclose(design.inclusion * design.coefficient, 1 / n, rtol=1e-14)
    # The number kept does not vary: each row of pairs sums to m times the sample's own chance.
    np.testing.assert_allclose(stated_joint(design).sum(1), m * pi, rtol=1e-9)


@given(problems())
@example(([Fraction(1)], 1, Fraction(0)))
@example(([Fraction(0)] * 3, 1, Fraction(0)))
@settings(max_examples=80, deadline=None)
def test_on_a_device_the_probabilities_are_exact_as_well(problem):
    x, m, floor = problem
    sizes = torch.tensor([float(v) for v in x], dtype=torch.float64)
    found = inclusion_on_device(sizes, m, float(floor))
    # A few roundings of sums of at most five numbers, each at most m.
    expected = [float(v) for v in exact(x, m, floor)]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15 * m)


@given(probabilities((8, 16)))  # floats lie on the same side of every border as the fractions
@settings(max_examples=60, deadline=None)
def test_on_a_device_the_law_is_that_of_the_pivotal_method(pi):
    def sample(inclusion: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
        m = uniforms.shape[1]
        drawn = drawn_on_device(torch.from_numpy(inclusion), m, torch.from_numpy(uniforms))
        return drawn.numpy()

    if sum(1 for p in pi if p < 1) <= 9:
        assert law_of(pi, sample) == fight_by_fight(pi)


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("m", [1, 700, 2999, 3000])
def test_on_a_device_many_are_drawn_as_on_the_host(m, part):
    """Certain, floored and free ones in any order, with ties. A sum of n numbers up to m is off by
    n m 2^-53 at most, so the two part with a chance below 2 m n m 2^-53 in each of five draws:
    never, at fixed seeds, unless one is wrong."""
    n, generator = 3000, torch.Generator().manual_seed(m)
    sizes = torch.rand(n, generator=generator, dtype=torch.float64).pow(8)
    sizes[::7] = 0.2
    pi = inclusion_on_device(sizes, m, part * m / n)
    assert float(pi.sum()) == pytest.approx(m, rel=1e-13)
    assert pi.min() >= part * m / n
    assert pi.max() <= 1
    theirs = proportional_inclusion(sizes.numpy(), m, part * m / n)
    # What the fixed ones leave of m, here 0.5 or more, is off by log2(n) m 2^-53 in either.
    np.testing.assert_allclose(pi, theirs, rtol=2e-11)
    for _ in range(5):
        uniforms = torch.rand(2, m, generator=generator, dtype=torch.float64)
        kept = drawn_on_device(pi, m, uniforms)
        assert kept.tolist() == pivotal_sample(pi.numpy(), uniforms.numpy()).tolist()


def test_on_a_gpu_nothing_waits_for_a_selection_and_its_weights_are_inverse_chances():
    n, m = 500, 100
    losses = torch.randn(n, generator=torch.Generator().manual_seed(1)).exp()
    losses[::3] = math.inf
    chance = rule_with(losses.tolist(), m, floor=0.2).inclusion_probabilities()
    with PretendedGPU() as gpu:
        rule = SurveySampling(n, m, floor=0.2, device=GPU)
        rule.scores.copy_(losses)
        gpu.waits.clear()
        indices, weights = rule.select(torch.Generator().manual_seed(0))
        assert not gpu.waits
        indices, weights = indices.cpu(), weights.cpu()
    assert len(indices.unique()) == m
    np.testing.assert_allclose(chance[indices] * weights / m, 1 / n, rtol=1e-6)


def test_draws_agree_with_the_probabilities():
    scores = [0.1, 0.1, 0.3, 0.7, 0.7, 0.7, 0.9, 2.0, 5.0, 0.2, 0.7, 1e6]
    rule = rule_with(scores, 5, floor=0.25)
    assert smallest_p_value(rule, rule.inclusion_probabilities()) > FALSE_ALARM
    assert smallest_p_value(RandomSubset(12, 5), rule.inclusion_probabilities()) < FALSE_ALARM


def test_drawn_pairs_agree_with_the_stated_ones():
    """A pair's frequency in 20,000 draws within 6 standard deviations: false alarm below 2e-7 of
    all 66 (normal tails), and independent sampling, the twin, is further."""
    rule = rule_with([0.1, 0.1, 0.3, 0.7, 0.7, 0.7, 0.9, 2.0, 5.0, 0.2, 0.7, 3.0], 5)
    generator = torch.Generator().manual_seed(0)
    draws = 20_000
    counts = np.zeros((12, 12))
    for _ in range(draws):
        kept = rule.select(generator)[0].numpy()
        counts[np.ix_(kept, kept)] += 1

    def largest_deviation(joint: np.ndarray) -> float:
        spread = np.sqrt(draws * joint * (1 - joint)) + 1e-6
        return float(np.max(np.abs(counts - draws * joint) / spread))

    stated = stated_joint(rule.second_order())
    assert largest_deviation(np.clip(stated, 0, 1)) < 6
    pi = rule.inclusion_probabilities().numpy()
    independent = np.outer(pi, pi)
    np.fill_diagonal(independent, pi)
    assert largest_deviation(independent) > 6


@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize("memory_limit", [2**30, 8 * 8 * 20])
def test_an_audit_has_the_exact_variance(batch_size, memory_limit):
    """From the walk over the sequence, all parameters at once or some at a time."""
    found = audited(batch_size=batch_size, memory_limit=memory_limit)
    assert found.slow == []
    assert found.passes == pytest.approx(2 if memory_limit > 2**20 else 4, rel=0.2)
    variance_is_exact(found["survey"])


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_a_mapped_pass_has_it_too(chunk, monkeypatch):
    """Where a walk sees no single samples."""
    original = covariance.per_sample_gradients

    def in_chunks(model, population, order, parameters=None, *rest):
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        return original(model, population, order, parameters, chunk_bytes=chunk * size)

    monkeypatch.setattr(covariance, "per_sample_gradients", in_chunks)
    monkeypatch.setattr("orderdp_train.auditing.walks._sequences", lambda *_: [])
    variance_is_exact(audited()["survey"])


def audited(**options):
    problem = small()
    return audit(problem.model, problem.population, {"survey": on_small()}, draws=200, **options)


def on_small() -> SurveySampling:
    problem = small()
    n = problem.population.n
    rule = SurveySampling(n, n // 3)
    rule.update(torch.arange(n), problem.losses.float())
    return rule


def variance_is_exact(found) -> None:
    """Against the O(n d) formula of the theory, on all per-sample gradients at once."""
    problem, rule = small(), on_small()
    order = rule.scores.argsort(descending=True, stable=True)
    full = problem.gradients.mean(0)
    variance = pivotal_covariance_trace(
        problem.gradients[order].numpy(), rule.inclusion_probabilities()[order].numpy()
    )
    assert found.variance == pytest.approx(variance / float(full @ full), rel=1e-5)
    assert found.bias == pytest.approx(0, abs=1e-9)
    assert not found.agreement.alarm
    sizes = [p.numel() for p in problem.model.parameters()]
    parts = zip(found.layers, full.split(sizes), strict=True)
    by_layer = sum(layer.variance * float(part @ part) for layer, part in parts)
    assert by_layer == pytest.approx(variance, rel=1e-5)


def test_the_size_is_that_of_a_cross_entropy_gradient():
    """|p - y| lies between 1 - p_y and sqrt(2) (1 - p_y); attained by one other class alone."""
    logits = (
        torch.randn(200, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    )
    labels = torch.arange(200) % 7
    p = logits.softmax(1)
    y = torch.nn.functional.one_hot(labels, 7).double()
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    ratio = (p - y).norm(dim=1) / one_minus_likelihood(losses)
    assert ratio.min() >= 1
    assert ratio.max() <= math.sqrt(2) * (1 + 1e-12)
    two = torch.tensor([[3.0, 0.0]]).double().softmax(1)
    gradient = (two - torch.tensor([[1.0, 0.0]])).norm()
    torch.testing.assert_close(gradient, math.sqrt(2) * one_minus_likelihood(-two[0, 0].log()))
    assert one_minus_likelihood(torch.tensor([-1.0, 0.0, math.inf])).tolist() == [0, 0, 1]


def test_sizes_of_ones_own():
    rule = SurveySampling(3, 1, floor=0.01, size=torch.square)
    rule.scores.copy_(torch.tensor([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(rule.inclusion_probabilities(), np.array([1, 4, 9]) / 14, rtol=1e-12)


def test_state_and_bad_input():
    rule = build_rule("survey", 50, 0.2)
    rule.update(torch.arange(30), torch.linspace(0, 3, 30))
    same_after_reload(rule, build_rule("survey", 50, 0.2))
    with pytest.raises(ValueError, match="floor must be a number in"):
        build_rule("survey", 50, 0.2, floor=0.0)
    with pytest.raises(ValueError, match="floor must lie in"):
        SurveySampling(5, 2, floor=0.0)
    with pytest.raises(ValueError, match="cannot keep 6 of 5"):
        SurveySampling(5, 6)
