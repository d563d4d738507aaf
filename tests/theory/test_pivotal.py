"""Ordered pivotal sampling against the method as it is defined, fight by fight, in fractions."""

from collections import defaultdict
from fractions import Fraction
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import (
    pivotal,
    pivotal_covariance_trace,
    pivotal_joint,
    pivotal_sample,
    proportional_inclusion,
)
from orderdp_theory.pivotal import pivotal_pairs
from tests.oracles import fight_by_fight

Law = dict[tuple[int, ...], Fraction]


@st.composite
def probabilities(draw, denominators: tuple[int, ...] = (6, 7, 8)) -> list[Fraction]:
    """Fractions in [0, 1] that sum to an integer, with exact borders, zeros and ones among them."""
    parts = draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    denominator = draw(st.sampled_from(denominators))
    missing = -sum(parts) % denominator
    while missing:
        parts.append(min(missing, denominator // 2))
        missing -= parts[-1]
    parts = draw(st.permutations(parts))
    return [Fraction(p, denominator) for p in parts]


def drawn(pi: list[Fraction], sample=pivotal_sample) -> Law:
    """The law of a pivotal `sample`, which is constant between the ends of the samples' parts.

    Uniforms in the middle of every piece, weighted by its length: the ends come from the exact
    line, not from the code.
    """
    certain = sum(p == 1 for p in pi)
    line = [Fraction(0)]
    for p in pi:
        line.append(line[-1] + (p if p < 1 else 0))
    clusters = int(line[-1])
    law: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    if not clusters:
        return {tuple(sample(np.array(pi, float), np.zeros((2, certain)))): Fraction(1)}
    pieces = []
    for j in range(clusters):
        inside, border = Fraction(1), None
        if j < clusters - 1:
            k = next(k for k in range(len(pi)) if line[k + 1] >= j + 1)
            a, b = j + 1 - line[k], line[k + 1] - (j + 1)
            inside, border = 1 - a, a / (1 - b)
        cuts = sorted(
            {Fraction(0), Fraction(1)} | {(x - j) / inside for x in line if j < x < j + inside}
        )
        first = [((lo + hi) / 2, hi - lo) for lo, hi in pairwise(cuts)]
        ends = sorted({Fraction(0), Fraction(1)} | ({border} if border is not None else set()))
        second = [((lo + hi) / 2, hi - lo) for lo, hi in pairwise(ends)]
        pieces.append([(u, v, p * q) for (u, p), (v, q) in product(first, second)])
    for chosen in product(*pieces):
        uniforms = np.zeros((2, clusters + certain))
        uniforms[:, :clusters] = np.array([[float(u), float(v)] for u, v, _ in chosen]).T
        kept = tuple(sorted(sample(np.array(pi, float), uniforms).tolist()))
        probability = Fraction(1)
        for *_, p in chosen:
            probability *= p
        law[kept] += probability
    return dict(law)


@given(probabilities((8, 16)))  # floats lie on the same side of every border as the fractions
@settings(max_examples=60, deadline=None)
def test_the_law_is_that_of_the_pivotal_method(pi):
    if sum(1 for p in pi if p < 1) > 9:
        return
    assert drawn(pi) == fight_by_fight(pi)


@given(probabilities())
@settings(max_examples=60, deadline=None)
def test_probabilities_of_samples_and_pairs(pi):
    law = fight_by_fight(pi)
    n = len(pi)
    assert all(len(kept) == sum(pi) for kept in law)
    joint = np.zeros((n, n))
    for kept, p in law.items():
        for i, j in product(kept, repeat=2):
            joint[i, j] += float(p)
    found = pivotal_joint(np.array(pi, float))
    np.testing.assert_allclose(found, joint, atol=1e-14)
    np.testing.assert_allclose(np.diag(found), np.array(pi, float), atol=1e-15)
    for i, j in combinations(range(n), 2):  # nobody profits from another's being kept
        assert found[i, j] <= pi[i] * pi[j] + 1e-15


@given(probabilities(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_covariance_is_that_of_the_enumerated_draws(pi, seed):
    pi = [p for p in pi if p]
    if not pi:
        return
    n = len(pi)
    gradients = np.random.default_rng(seed).normal(size=(n, 3)) + 1
    estimates = {
        kept: sum(gradients[i] / (n * float(pi[i])) for i in kept) for kept in fight_by_fight(pi)
    }
    law = fight_by_fight(pi)
    mean = sum(float(p) * estimates[kept] for kept, p in law.items())
    np.testing.assert_allclose(mean, gradients.mean(0), atol=1e-13)
    variance = sum(float(p) * np.sum((estimates[k] - mean) ** 2) for k, p in law.items())
    found = pivotal_covariance_trace(gradients, np.array(pi, float))
    scale = max(float(np.sum(e**2)) for e in estimates.values())
    assert found == pytest.approx(variance, rel=1e-9, abs=1e-13 * scale)


def test_gradients_proportional_to_the_probabilities_have_no_variance():
    """The equality case: with right sizes and one direction the estimate is exact."""
    x = np.random.default_rng(0).uniform(0.5, 1.5, size=2_000)
    pi = proportional_inclusion(x, 200)
    gradients = x[:, None] * np.array([[1.0, -2.0]])
    assert abs(pivotal_covariance_trace(gradients, pi)) < 1e-13
    kept = pivotal_sample(pi, np.random.default_rng(1).random((2, 200)))
    np.testing.assert_allclose((gradients[kept] / pi[kept, None]).mean(0) / 10, gradients.mean(0))


def test_in_linear_time_equals_all_pairs():
    rng = np.random.default_rng(0)
    n, m = 300, 37
    pi = proportional_inclusion(rng.exponential(size=n) ** 2, m, 0.3 * m / n)
    gradients = rng.normal(size=(n, 4)) + 1
    joint = pivotal_joint(pi)
    assert joint.sum() == pytest.approx(m * m, rel=1e-12)  # the number kept does not vary
    h = gradients / (n * pi)[:, None]
    covariance = joint - np.outer(pi, pi)
    assert pivotal_covariance_trace(gradients, pi) == pytest.approx(
        float(np.sum(covariance * (h @ h.T))), rel=1e-10
    )


def largest_deviation(sampler, pi: np.ndarray, draws: int = 20_000) -> float:
    """Of a sample's frequency from its probability, in standard deviations."""
    rng, m = np.random.default_rng(0), round(pi.sum())
    total = np.zeros(len(pi))
    for _ in range(draws):
        kept = sampler(pi, rng.random((2, m)))
        assert len(set(kept.tolist())) == m
        total[kept] += 1
    inner = (pi > 0) & (pi < 1)
    assert np.all(total[pi == 1] == draws)
    spread = np.sqrt(draws * pi[inner] * (1 - pi[inner]))
    return float(np.max(np.abs(total[inner] - draws * pi[inner]) / spread))


def test_frequencies_of_many_draws():
    """A deviation of 6 has probability below 3e-9 a sample, so 2e-7 of all 60 (normal tails).

    The twin lets the border sample win as often as if nothing of it lay behind the border.
    """
    rng = np.random.default_rng(3)
    pi = proportional_inclusion(rng.exponential(size=60), 20, 0.1)
    assert largest_deviation(pivotal_sample, pi) < 6

    def twin(pi, uniforms):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pivotal, "_borders", lambda *args: (*borders(*args)[:2], np.zeros(1)))
            return pivotal_sample(pi, uniforms)

    borders = pivotal._borders
    assert largest_deviation(twin, pi) > 6


def test_recurrence_of_a_border_sample():
    """Three samples of 2/3 for two places: each pair is left out of by the third, 1/3 each."""
    joint = pivotal_joint([2 / 3] * 3)
    np.testing.assert_allclose(joint, np.where(np.eye(3), 2 / 3, 1 / 3), atol=1e-15)
    pairs = pivotal_pairs([0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(pairs.loss, [0.5] * 4)
    assert pairs.decay[1] == 0  # a border without overlap separates: strata of two


@pytest.mark.parametrize(
    ("pi", "shape", "message"),
    [
        ([0.5, 0.6], (2, 1), "sum to an integer"),
        ([1.5, 0.5], (2, 2), r"in \[0, 1\]"),
        ([np.nan, 0.5], (2, 1), r"in \[0, 1\]"),
        ([], (2, 0), r"in \[0, 1\]"),
        ([0.5, 0.5], (2, 2), r"need uniforms \(2, 1\)"),
        ([1.0, 0.5, 1.0, 0.5], (2, 2), r"need uniforms \(2, 3\)"),
    ],
)
def test_refused(pi, shape, message):
    with pytest.raises(ValueError, match=message):
        pivotal_sample(pi, np.zeros(shape))


def test_refused_gradients():
    with pytest.raises(ValueError, match="shape"):
        pivotal_covariance_trace(np.ones(3), [0.5, 0.5])
    with pytest.raises(ValueError, match="never kept"):
        pivotal_covariance_trace(np.ones((2, 1)), [0.0, 1.0])
