"""From the surrogate's minimizer to the empirical loss (proofs/transfer.md)."""

from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderdp_theory import Design, inclusion_probabilities, surrogate_loss, transfer_bound
from tests.oracles import inclusion_by_enumeration
from tests.strategies import designs

N = 10
DESIGNS = [Design(N, N, 4), Design(N, 6, 2), Design(N, 5, 3), Design(N, 4, 4)]
SOLVER = 1e-6  # agreement that the interior-point solver is asked for, with room


def sample_losses(kind: str, theta, X: np.ndarray, y: np.ndarray):
    """Per-sample losses, written once for the solver and once for numbers."""
    symbolic = isinstance(theta, cp.Expression)
    margin = cp.multiply(y, X @ theta) if symbolic else y * (X @ theta)
    if kind == "absolute":
        return cp.abs(X @ theta - y) if symbolic else np.abs(X @ theta - y)
    if kind == "hinge":
        return cp.pos(1 - margin) if symbolic else np.maximum(1 - margin, 0)
    return cp.logistic(-margin) if symbolic else np.logaddexp(0, -margin)


def minimizers(kind: str, X, y, design: Design):
    """θ° and θ̂ from a convex solver; L_q as a combination of sums of k largest losses."""
    theta = cp.Variable(X.shape[1])
    losses = sample_losses(kind, theta, X, y)
    ball = [cp.norm(theta) <= 10]
    cp.Problem(cp.Minimize(cp.sum(losses)), ball).solve(solver="CLARABEL")
    reference = theta.value
    weights = np.append(inclusion_probabilities(design), 0) / design.q
    drops = weights[:-1] - weights[1:]
    surrogate = drops[-1] * cp.sum(losses) + sum(
        drops[k - 1] * cp.sum_largest(losses, k) for k in range(1, N) if drops[k - 1]
    )
    cp.Problem(cp.Minimize(surrogate), ball).solve(solver="CLARABEL")
    return reference, theta.value


@pytest.mark.parametrize("kind", ["absolute", "hinge", "logistic"])
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_convex_problems(kind, design):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, 2))
    y = np.sign(X[:, 0] + rng.normal(size=N))
    reference, found = minimizers(kind, X, y, design)
    at_reference, at_found = (sample_losses(kind, t, X, y) for t in (reference, found))
    bound = transfer_bound(at_reference, design)
    # Both really are minima, in numbers that the solver did not compute.
    assert surrogate_loss(at_found, design) <= surrogate_loss(at_reference, design) + SOLVER
    assert at_reference.mean() <= at_found.mean() + SOLVER
    assert at_found.mean() <= bound.value + SOLVER
    assert bound.value <= min(bound.chi_std, bound.tv_range) + SOLVER
    # A point that only nearly minimizes the surrogate.
    nearby = sample_losses(kind, found + 0.1 * rng.normal(size=2), X, y)
    error = surrogate_loss(nearby, design) - surrogate_loss(at_found, design)
    assert nearby.mean() <= transfer_bound(at_reference, design, max(error, 0)).value + SOLVER


@pytest.mark.parametrize("kind", ["absolute", "hinge"])
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_interpolation_makes_pruning_lossless(kind, design):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(N, 2))
    X[:, 0] += 0.5 * np.sign(X[:, 0])
    y = X @ [1.0, -2.0] if kind == "absolute" else np.sign(X[:, 0])
    reference, found = minimizers(kind, X, y, design)
    assert transfer_bound(np.zeros(N), design).value == 0
    assert sample_losses(kind, reference, X, y).mean() <= SOLVER
    assert sample_losses(kind, found, X, y).mean() <= SOLVER


def test_after_steps_of_training():
    """Every candidate drawn (s = n): OrderDP is deterministic and Theorem 3 gives the error."""
    rng = np.random.default_rng(5)
    design, steps = Design(N, N, 4), 400
    X = rng.normal(size=(N, 2))
    y = rng.normal(size=N)
    reference, found = minimizers("absolute", X, y, design)
    lipschitz = np.linalg.norm(X, axis=1).max()
    distance = np.linalg.norm(found)
    theta, average = np.zeros(2), np.zeros(2)
    for _ in range(steps):
        average += theta / steps
        kept = np.argsort(-sample_losses("absolute", theta, X, y))[: design.q]
        gradient = (np.sign(X @ theta - y)[:, None] * X)[kept].mean(axis=0)
        theta = theta - distance / (lipschitz * np.sqrt(steps)) * gradient
    error = distance * lipschitz / np.sqrt(steps)
    bound = transfer_bound(sample_losses("absolute", reference, X, y), design, error)
    assert sample_losses("absolute", average, X, y).mean() <= bound.value


@given(designs(max_n=12))
@settings(deadline=None)
def test_attained_for_every_design_and_error(design):
    """Losses a_i(1 − θ) + cθ on [0, 1], c = L_q(0) + ε: θ = 1 has L_q(1) = L_q(0) + ε and

    L(1) = c, which is the bound; a smaller constant anywhere in it would be violated.
    """
    at_zero = inclusion_probabilities(design)  # affine in the weights, so that χ std is attained
    for error in (0.0, 0.25):
        end = surrogate_loss(at_zero, design) + error
        bound = transfer_bound(at_zero, design, error)
        for theta in (0.25, 0.5, 1.0):
            losses = at_zero * (1 - theta) + end * theta
            assert surrogate_loss(losses, design) <= end + 1e-12
            assert losses.mean() >= at_zero.mean() - 1e-12  # θ = 0 minimizes L on [0, 1]
        assert bound.value == pytest.approx(end, abs=1e-12)
        assert bound.chi_std == pytest.approx(end, abs=1e-9)


@given(st.data(), designs(min_n=2))
@settings(deadline=None)
def test_with_the_observed_gap_it_is_an_identity(data, design):
    """Exact rationals: for the smallest error that may be assumed, the bound is the loss itself."""
    values = st.lists(st.integers(0, 9), min_size=design.n, max_size=design.n)
    found, reference = data.draw(values), data.draw(values)
    weights = [g / design.q for g in inclusion_by_enumeration(design)]

    def surrogate(losses):
        ordered = sorted(losses, reverse=True)
        return sum(w * loss for w, loss in zip(weights, ordered, strict=True))

    error = surrogate(found) - surrogate(reference)
    bound = transfer_bound(reference, design, max(float(error), 0.0), found)
    slack = max(-error, 0)
    assert bound.value == pytest.approx(float(Fraction(sum(found), design.n) + slack), abs=1e-12)
    assert bound.found_gap == pytest.approx(
        float(surrogate(found) - Fraction(sum(found), design.n)), abs=1e-12
    )
    without = transfer_bound(reference, design, max(float(error), 0.0))
    assert without.value - bound.value == pytest.approx(bound.found_gap, abs=1e-12)
    assert bound.value <= bound.nonnegative + 1e-12


@given(designs(max_n=12))
@settings(deadline=None)
def test_the_factor_for_nonnegative_losses_is_attained(design):
    """Up to q losses that are not zero: L_q = (s/q) L there."""
    for number in (1, design.q):
        losses = np.where(np.arange(design.n) < number, 3.0, 0.0)
        bound = transfer_bound(losses, design)
        assert bound.nonnegative == pytest.approx(bound.value, rel=1e-12)
        assert bound.nonnegative == pytest.approx(design.s / design.q * losses.mean(), rel=1e-12)


@pytest.mark.parametrize("error", [-1.0, np.nan, np.inf])
def test_refused(error):
    with pytest.raises(ValueError, match="optimization_error"):
        transfer_bound(np.ones(4), Design(4, 2, 1), error)
