"""The check of shapes and types of arrays in signatures, for jaxtyping's import hook."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

SHAPED = re.compile(r"\b(Bool|Float\d*|Int\d*|Shaped)\b")
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check those arguments and results whose annotations state a shape, and nothing else.

    What else is wrong the functions refuse themselves, in words that other tests expect.
    """
    annotations = inspect.get_annotations(function)
    shaped = {name: kind for name, kind in annotations.items() if SHAPED.search(str(kind))}
    if not shaped:
        return function
    whole, function.__annotations__ = function.__annotations__, shaped
    wrapper = _beartype(function)
    function.__annotations__ = wrapper.__annotations__ = whole
    return wrapper
