"""Public functions with arguments that Hypothesis makes from their signatures."""

import inspect
import math
import warnings
from typing import Any, get_args

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import orderdp_theory
import orderdp_train
import orderdp_train.scores
from campaigns.outcome import Outcome, times
from orderdp_theory import Design, LinearPredictors, RankDesign
from orderdp_train import (
    RULES,
    UCB,
    EpsilonGreedy,
    FixedSubset,
    FreshOrderDP,
    FullData,
    InfoBatch,
    OrderDP,
    OrderedSGD,
    RandomSubset,
    Recipe,
    RepeatedRandom,
    RescoredOrderDP,
    RHOLoss,
    SelectiveBackprop,
    SurveySampling,
    UnbiasedOrderDP,
    load_data,
)
from orderdp_train.scores import LastLayer

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


TENSORS = ARRAYS | st.sampled_from(
    [
        *(torch.tensor([3.0, 1, 2]), torch.ones(3), torch.eye(3), torch.ones(2, 3), torch.ones(0)),
        *(torch.tensor([math.nan, 1, 2]), torch.tensor([math.inf, 1, 2]), torch.tensor(2.0)),
        *(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 1]), torch.tensor([-1, 0, 9]), [0, 1, 2]),
        *(torch.tensor([True, False, True]), torch.ones(3, requires_grad=True), torch.ones(3) * 1j),
        *(torch.ones(3).bfloat16(), torch.ones(3).to_sparse(), torch.ones(3, device="meta")),
    ]
)
LAYER = LastLayer(torch.eye(3), torch.ones(3, 2), torch.tensor([0, 1, 2]))
MODEL = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Unflatten(1, (1, -1)))
MODEL.append(torch.nn.AdaptiveAvgPool1d(3)).append(torch.nn.Flatten())
MODEL.append(torch.nn.Linear(3, 10))  # of an image or of three numbers
SAMPLES = [(torch.ones(3), 0), (torch.zeros(3), 1), (torch.eye(3)[0], 2)]
# What a parameter of that name is given; the others by what they are annotated with.
NAMED: dict[str, st.SearchStrategy[Any]] = {
    "progress": st.just(iter),
    "rng": st.builds(np.random.default_rng, st.just(0)),
    "predictors": st.just(LinearPredictors(1, 1, 1)),
    "generator": st.builds(torch.Generator) | st.sampled_from([None, 0]),
    "train": st.sampled_from([LAYER, LAYER, LAYER, None]),
    "validation": st.sampled_from([LAYER, LAYER, LAYER, None]),
    "model": st.sampled_from([MODEL, MODEL, MODEL, None]),
    "name": st.sampled_from([*RULES, "none-of-them", None]),
    "keep": st.sampled_from([0.5, 0.5, None, 0.0, 2.0, math.nan, "x"]),
    "data": st.sampled_from([load_data("digits"), None]),
    "dataset": st.sampled_from([SAMPLES, SAMPLES, SAMPLES, [], None, 3]),
    "recipe": st.sampled_from([Recipe(), None]),
    "rules": st.sampled_from([[FullData(3)], {"a": FullData(3)}, [], None, [FullData(2)], [3]]),
    "state": st.sampled_from([{}, None, {"scores": [1.0]}, {"scores": torch.ones(3) * math.nan}]),
    # Of a shape that the model takes: what it says of others are its own words.
    "inputs": st.sampled_from([torch.eye(3), torch.eye(3), None, [1.0], np.eye(3), "abc"]),
    "targets": st.just(torch.tensor([0, 1, 2])) | TENSORS,
    "reduction": st.sampled_from(["mean", "sum", "none", None]),
    "sweeps": st.sampled_from([1, 0, -1, None]),
    "max_steps": st.sampled_from([1, 0, -1, None]),
    "scorer": st.just(lambda indices: torch.ones(len(indices))),
}
# Functions of the user's own, and what says where rather than what.
LEFT = {"device", "recorder", "size", "loss", "collate", "on_batch", "followed", "options", "draws"}
MADE = (
    *(FullData, RandomSubset, RepeatedRandom, OrderDP, FreshOrderDP, OrderedSGD, RescoredOrderDP),
    *(UnbiasedOrderDP, SurveySampling, SelectiveBackprop, InfoBatch, UCB, EpsilonGreedy),
    *(FixedSubset, RHOLoss),
)


def library(share: float, number: int) -> Outcome:
    """A result without NaN and without warning, or a `TypeError` or `ValueError` in words."""
    outcome = Outcome()
    for function in functions():
        parameters = inspect.signature(function, eval_str=True).parameters.values()
        chosen = [p for p in parameters if p.name not in LEFT and p.kind is not p.VAR_KEYWORD]
        made = st.fixed_dictionaries({p.name: _strategy(p) for p in chosen})
        _attack(function, made, times(share, 400), number, outcome)
    return outcome


def functions() -> list[Any]:
    """Public functions of both packages, the making of rules, and what is done with these."""
    found = [getattr(orderdp_theory, name) for name in orderdp_theory.__all__]
    found += [getattr(orderdp_train.scores, name) for name in orderdp_train.scores.__all__]
    found = [f for f in found if inspect.isfunction(f) and f is not orderdp_train.scores.record]
    found += [orderdp_train.build_rule, orderdp_train.sequence_losses, orderdp_train.losses_of]
    found += [orderdp_train.audit, *MADE]
    for rule in (
        FullData(3),
        OrderDP(Design(3, 2, 1)),
        InfoBatch(3),
        UCB(3, 2),
        EpsilonGreedy(3, 2),
    ):
        found += [rule.select, rule.update, rule.expected_weights, rule.load_state_dict]
    return found


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
        given = " ".join(str(arguments).split())[:300]
        to.add(problem and f"{function.__qualname__}({given}): {problem}")

    attack()


def _strategy(parameter: inspect.Parameter) -> st.SearchStrategy[Any]:
    kinds = get_args(parameter.annotation) or (parameter.annotation,)
    if parameter.name in NAMED:
        return NAMED[parameter.name]
    if Design in kinds and parameter.name == "design":
        return DESIGNS | st.just(RankDesign.lowest(3, 2, 1))
    if RankDesign in kinds:
        return st.sampled_from([RankDesign.lowest(3, 2, 1), RankDesign.mixed(3, 3, 1, 1)])
    if int in kinds:
        return st.sampled_from([1, 2, 3]) | INTEGERS
    if float in kinds and len(kinds) <= 2:
        return st.sampled_from([1.0, 0.5]) | NUMBERS
    if bool in kinds:
        return st.booleans()
    if parameter.default is None:
        return st.none() | TENSORS
    return st.just([1.0, 2.0, 3.0]) | TENSORS


def _problem(function: Any, arguments: dict[str, Any]) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = function(**arguments)
    except (TypeError, ValueError) as error:
        return None if str(error) else "an error without words"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for value in result if isinstance(result, tuple) else (result,):
        if isinstance(value, torch.Tensor):
            value = value.detach().double().numpy() if value.is_floating_point() else None
        if isinstance(value, float | np.ndarray) and np.asarray(value).dtype.kind in "biuf":
            number = np.asarray(value, dtype=np.float64)
            if not np.isfinite(number).all():
                return f"gives {value}"
    return None
