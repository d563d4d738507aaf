"""Designs and arrays that would silently be taken for something else are refused everywhere."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orderdp_theory
from orderdp_theory import Design, RankDesign, Ranking, choose, estimator_mean, gap, surrogate_loss
from orderdp_theory.arguments import double_array, real_array
from orderdp_theory.checks import check_inclusion_probabilities

LOWEST = RankDesign.lowest(4, 3, 2)
# Something valid for every other parameter, so that the design alone can be the reason.
VALUES = {
    "bits": 64,
    "distance": 1.0,
    "epochs": 3,
    "failure": 0.1,
    "gradients": np.eye(4),
    "initial_error": 0.0,
    "lipschitz": 1.0,
    "losses": [1.0, 2.0, 3.0, 4.0],
    "max_age": 1,
    "minibatches": 2,
    "norms": np.ones(4),
    "optimization_error": 0.0,
    "predictors": orderdp_theory.LinearPredictors(1, 1, 1),
    "q2": 1,
    "reference_losses": [1.0, 2.0, 3.0, 4.0],
    "rng": np.random.default_rng(0),
    "scores": [4.0, 3.0, 2.0, 1.0],
    "size": 1,
    "step_sizes": [0.1, 0.1],
}
TAKING_A_DESIGN = [
    name
    for name in orderdp_theory.__all__
    if inspect.isfunction(function := getattr(orderdp_theory, name))
    and inspect.signature(function).parameters.get("design", None)
    and inspect.signature(function).parameters["design"].annotation in (Design, "Design")
]


@pytest.mark.parametrize("name", TAKING_A_DESIGN)
def test_a_rank_design_is_not_taken_for_its_top_q(name: str) -> None:
    function = getattr(orderdp_theory, name)
    parameters = inspect.signature(function).parameters.values()
    required = {
        p.name: VALUES.get(p.name, 1)
        for p in parameters
        if p.name != "design" and p.default is p.empty
    }
    function(design=Design(4, 3, 2), **required)
    with pytest.raises(TypeError, match=r"expected a Design.*RankDesign"):
        function(design=LOWEST, **required)


def test_many_functions_take_a_design() -> None:
    assert len(TAKING_A_DESIGN) > 15
    with pytest.raises(TypeError, match="expected a Design"):
        check_inclusion_probabilities(LOWEST, [0.5] * 4)  # pyright: ignore[reportArgumentType]


def test_masked_probabilities_are_not_checked_without_their_mask() -> None:
    masked = np.ma.masked_array([0.75, 0.75, 0.5, 0.0], [False, True, False, False])
    with pytest.raises(TypeError, match="gamma must not be masked"):
        check_inclusion_probabilities(Design(4, 3, 2), masked)  # pyright: ignore[reportArgumentType]


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5))
def test_integers_up_to_2_to_the_53_are_exact(values: list[int]) -> None:
    for given_as in (values, np.array(values)):
        assert [int(x) for x in real_array(given_as)] == values


REFUSED = [
    (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), TypeError, "masked"),
    ([1.0, np.ma.masked, 2.0], TypeError, "masked"),
    ([2**53 + 1, 2, 3], ValueError, "beyond 2\\^53"),
    ([2**53 + 1, 0.5, 3], ValueError, "beyond 2\\^53"),
    ([10**30, 0.5, 3], ValueError, "beyond 2\\^53"),
    (np.array([0, 1, -(2**63)]), ValueError, "beyond 2\\^53"),
    (np.array([0, 1, 2**64 - 1], dtype=np.uint64), ValueError, "beyond 2\\^53"),
    ([np.int64(2**60), 0.5, 1], ValueError, "beyond 2\\^53"),
    (np.array([1j, 0, 1]), TypeError, "real numbers"),
    (np.array(["a", "b", "c"]), TypeError, "real numbers"),
    ([None, 1.0, 2.0], TypeError, "real numbers"),
]
if np.dtype(np.longdouble).itemsize > 8:
    REFUSED += [
        (np.arange(3, dtype=np.longdouble), TypeError, "double precision"),
        ([np.longdouble(1), 2.0, 3.0], TypeError, "double precision"),
    ]


@pytest.mark.parametrize(("values", "error", "message"), REFUSED)
def test_refused_wherever_arrays_enter(values, error, message) -> None:
    """A rank, a mean, a matrix: each of these once computed something else without a word."""
    design = Design(3, 2, 1)
    for function in (
        real_array,
        Ranking.of,
        lambda x: surrogate_loss(x, design),
        lambda x: gap(x, design),
        lambda x: estimator_mean([[v] for v in x], [1.0, 2.0, 3.0], design),
        lambda x: estimator_mean(np.eye(3), x, design),
    ):
        with pytest.raises(error, match=message):
            function(values)


def test_masked_matrices_are_refused_too() -> None:
    masked = np.ma.masked_array(np.eye(3), np.eye(3) == 0)
    for gram in (masked, list(masked)):
        with pytest.raises(TypeError, match="gram must not be masked"):
            choose(gram, [1.0, 2.0, 3.0], 2)


def test_floats_pass_unchanged() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        array = np.array([0.1, -2.5], dtype=dtype)
        assert real_array(array) is array
        assert double_array(array).dtype == np.float64
    assert real_array([True, False]).tolist() == [1.0, 0.0]


SCALARS = [
    (name, parameter.name, parameter.annotation)
    for name in orderdp_theory.__all__
    if inspect.isfunction(function := getattr(orderdp_theory, name))
    for parameter in inspect.signature(function, eval_str=True).parameters.values()
    if parameter.annotation in (int, float, int | None, float | None)
]


@pytest.mark.parametrize(("function", "name", "kind"), SCALARS)
def test_a_scalar_that_is_none_is_refused_by_its_name(function: str, name: str, kind: type) -> None:
    parameters = inspect.signature(getattr(orderdp_theory, function)).parameters
    values = VALUES | {"design": Design(4, 3, 2), "weak_convexity": 1.0, "envelope_gap": 1.0}
    required = {
        p.name: values.get(p.name, 1)
        for p in parameters.values()
        if p.default is p.empty and p.name != name
    }
    bad: list[tuple[object, type[Exception]]] = [("3", TypeError), (True, TypeError)]
    if kind in (float, float | None):
        bad += [(np.nan, ValueError), (np.inf, ValueError), (-1e101, ValueError), (1j, TypeError)]
    else:
        bad += [(2.5, TypeError), (10**30, ValueError), (np.array([1, 2]), TypeError)]
    if kind in (int, float):
        bad.append((None, TypeError))
    for value, error in bad:
        with pytest.raises(error, match=rf"^{name} must"):
            getattr(orderdp_theory, function)(**required, **{name: value})


def test_many_functions_take_scalars() -> None:
    assert len(SCALARS) > 40


@pytest.mark.parametrize(
    "call",
    [
        lambda: gap([1.7e308, -1.7e308, 1.7e308], Design(3, 2, 1)),
        lambda: orderdp_theory.estimator_covariance_trace(
            [[1e200], [-1e200], [0.0]], [1, 2, 3], Design(3, 2, 1)
        ),
        lambda: choose(np.diag([1.7e308, 1.7e308, 1e308]), [1, 2, 3], 2),
        lambda: orderdp_theory.convergence_bound(1e100, 1e100, [1e-300]),
        lambda: orderdp_theory.convergence_bound(1.0, 1.0, [1e308, 1e308]),
        lambda: orderdp_theory.transfer_bound([1e308, -1e308, 1e308], Design(3, 2, 1)),
        lambda: orderdp_theory.effective_sample_size([1e200, 1 - 1e200]),
    ],
)
def test_no_number_that_overflowed_is_given_back(call) -> None:
    with pytest.raises(ValueError, match=r"too large or too small|must be|must sum|add up to"):
        call()


@pytest.mark.parametrize("losses", [None, "abc", [[1.0], [1.0, 2.0]], [1.0, None], {1.0: 2.0}, 3.0])
def test_what_is_no_vector_is_refused_by_name(losses) -> None:
    with pytest.raises((TypeError, ValueError), match="losses"):
        surrogate_loss(losses, Design(3, 2, 1))
