"""Public functions with arguments that Hypothesis makes from their signatures."""

import inspect
import math
import warnings
from typing import Any, get_args

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import orderdp_theory
from campaigns.outcome import Outcome, times
from orderdp_theory import Design, LinearPredictors, RankDesign

INTEGERS = st.sampled_from([-1, 0, 1, 2, 3, 2**53, 10**30, True, 1.5, None, "1", np.int64(2)])
NUMBERS = st.sampled_from([0.0, 1.0, 0.05, -1.0, math.nan, math.inf, 1e200, 1e-320, None, "x", 1j])
ARRAYS = st.sampled_from(
    [
        *([1.0, 2.0, 3.0], np.array([3, 1, 2]), [1.0, 1.0, 1.0], [0.2, 0.3, 0.5], [1.0, 0.0, 0.0]),
        *([], [1.0], [math.nan, 1.0, 2.0], [1e308, -1e308, 1e308], [5e-324, 0.0, 1.0], None, "abc"),
        *(np.eye(3), np.ones((3, 0)), np.ones((2, 2, 2)), [[1.0], [1.0, 2.0]], [1j, 0, 0]),
        *(np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]), np.array(["a", "b", "c"]), 2.0, {}),
        np.ones((2, 3)),
    ]
)
DESIGNS = st.sampled_from([Design(3, 2, 1), Design(3, 3, 3), Design(1, 1, 1), Design(3, 3, 1)])


def library(share: float, number: int) -> Outcome:
    """A result without NaN and without warning, or a `TypeError` or `ValueError` in words."""
    outcome = Outcome()
    for name in orderdp_theory.__all__:
        function = getattr(orderdp_theory, name)
        if not inspect.isfunction(function):
            continue
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        made = st.fixed_dictionaries({p.name: _strategy(p) for p in parameters})

        _attack(function, made, times(share, 400), number, outcome)
    return outcome


def _attack(function: Any, made: st.SearchStrategy[Any], n: int, start: int, to: Outcome) -> None:
    @seed(start)
    @settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(made)
    def attack(arguments: dict[str, Any]) -> None:
        problem = _problem(function, arguments)
        to.add(problem and f"{function.__name__}({arguments}): {problem}")

    attack()


def _strategy(parameter: inspect.Parameter) -> st.SearchStrategy[Any]:
    kinds = get_args(parameter.annotation) or (parameter.annotation,)
    if parameter.name == "progress":
        return st.just(iter)
    if parameter.name == "rng":
        return st.builds(np.random.default_rng, st.just(0))
    if parameter.name == "predictors":
        return st.just(LinearPredictors(1, 1, 1))
    if Design in kinds and parameter.name == "design":
        return DESIGNS | st.just(RankDesign.lowest(3, 2, 1))
    if RankDesign in kinds:
        return st.sampled_from([RankDesign.lowest(3, 2, 1), RankDesign.mixed(3, 3, 1, 1)])
    if int in kinds:
        return st.sampled_from([1, 2, 3]) | INTEGERS
    if float in kinds and len(kinds) <= 2:
        return st.sampled_from([1.0, 0.5]) | NUMBERS
    if parameter.default is None:
        return st.none() | ARRAYS
    return st.just([1.0, 2.0, 3.0]) | ARRAYS


def _problem(function: Any, arguments: dict[str, Any]) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = function(**arguments)
    except (TypeError, ValueError) as error:
        return None if str(error) else "an error without words"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    numbers = [result] if isinstance(result, float | np.ndarray) else []
    if any(np.asarray(x).dtype.kind == "f" and not np.isfinite(x).all() for x in numbers):
        return f"gives {result}"
    return None
