"""The check of shapes in signatures checks, and leaves the refusing to functions that refuse."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from jaxtyping import Float64, TypeCheckError
from torch import Tensor

import orderdp_train
from orderdp_theory import Design
from orderdp_theory.common.errors import InputError
from orderdp_train import FixedSubset, OrderDP, auditing, rules, scores
from orderdp_train.rules.base import random_subset, top
from orderdp_train.rules.pairs import SecondOrder
from orderdp_train.training.mixing import sample_losses
from tests.shapes import ALWAYS, THEN_EVERY, checked


def called_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """Checked as at its first call: of later ones, in whatever test, only a part is checked."""
    return checked(inspect.unwrap(function))


def test_what_enters() -> None:
    with pytest.raises(TypeCheckError, match="scores"):
        called_first(top)(torch.ones(2, 2), 1)
    with pytest.raises(TypeCheckError, match="coefficient"):
        SecondOrder(torch.ones(3).double(), torch.ones(4).double())
    with pytest.raises(TypeCheckError, match="labels"):
        called_first(sample_losses)(torch.ones(3, 2), torch.ones(3), 0.0)


def test_what_leaves() -> None:
    with pytest.raises(TypeCheckError, match="return value"):
        called_first(random_subset)(3, 5, torch.Generator(), torch.device("cpu"))


def test_without_the_check_it_goes_unnoticed() -> None:
    """So the two tests above fail if the check is not there."""
    code = (
        "import torch; from orderdp_train.rules.base import random_subset\n"
        "print(len(random_subset(3, 5, torch.Generator(), torch.device('cpu'))))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["3"]


def test_a_function_refuses_in_its_own_words() -> None:
    with pytest.raises(InputError, match="one loss a sample"):
        OrderDP(Design(4, 3, 2)).update(torch.arange(3), torch.ones(2))
    with pytest.raises(InputError, match="as many finite weights"):
        FixedSubset(4, torch.arange(3), torch.ones(2))


def test_a_function_that_is_called_often_is_checked_in_a_part_of_its_calls() -> None:
    @checked
    def function(x: Float64[Tensor, "n"]) -> None:
        pass

    def caught(calls: int) -> int:
        return sum(_raises(function, torch.ones(1)) for _ in range(calls))

    assert caught(ALWAYS) == ALWAYS
    assert caught(10 * THEN_EVERY) == 10


def test_an_annotation_that_says_nothing_is_refused() -> None:
    def function(x: Any) -> None:
        pass

    function.__annotations__ = {"x": "Float64[Nowhere, 'n']"}
    with pytest.raises(NameError, match="Nowhere"):
        checked(function)


def test_public_functions_state_the_shapes_of_their_arrays() -> None:
    bare = {
        f"{function.__module__}.{function.__qualname__}: {name}"
        for package in (orderdp_train, auditing, rules, scores)
        for function in _public_functions(package)
        for name, kind in inspect.get_annotations(inspect.unwrap(function)).items()
        if "Tensor" in str(kind) and not re.search(r"\[Tensor, |Callable", str(kind))
    }
    assert bare == set()


def _public_functions(package: ModuleType) -> Iterator[Callable[..., Any]]:
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isfunction(value):
            yield value
        if inspect.isclass(value):
            for attribute, member in vars(value).items():
                found = member.fget if isinstance(member, property) else member
                found = getattr(found, "__func__", found)
                public = not attribute.startswith("_") or attribute in ("__init__", "__call__")
                if inspect.isfunction(found) and public:
                    yield found


def _raises(function: Callable[[Any], Any], x: Tensor) -> bool:
    try:
        function(x)
    except TypeCheckError:
        return True
    return False
