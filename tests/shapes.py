"""The check of shapes and types of arrays in signatures: jaxtyping's import hook and beartype.

Only functions whose annotations state a shape are wrapped, and those that are called very often
are checked in a part of their calls, so that tests which draw many thousand times stay fast.
"""

import dataclasses
import functools
import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError

SHAPED = re.compile(r"\b(Bool|Float\d*|Int\d*|Integer|Real|Shaped|UInt8)\b")
ALWAYS, THEN_EVERY = 500, 10  # calls of a function that are checked
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


def install(packages: list[str]) -> None:
    """Check what enters and leaves the functions of modules of `packages` imported from here on."""
    jaxtyping.jaxtyped = checked  # what the hook decorates every function with
    jaxtyping.install_import_hook(packages, None)


def checked(function: Any = None, *, typechecker: None = None) -> Any:
    """Check those arguments and results whose annotations state a shape, and nothing else.

    What else is wrong the functions refuse themselves, in words that other tests expect; so may
    they refuse an argument of a wrong shape, and their words come first then.
    """
    if function is None:
        return checked
    if inspect.isclass(function):
        if dataclasses.is_dataclass(function) and "__init__" in vars(function):
            function.__init__ = checked(function.__init__)
        return function
    if isinstance(function, classmethod | staticmethod):
        return type(function)(checked(function.__func__))
    if isinstance(function, property):
        return property(checked(function.fget), function.fset, function.fdel)
    shaped = shapes_of(function)
    if not shaped:
        return function
    only_shapes = functools.wraps(function)(lambda *args, **kwargs: function(*args, **kwargs))
    only_shapes.__signature__ = _signature(function, shaped)
    inner = _jaxtyped(only_shapes, typechecker=_beartype)
    calls = itertools.count()

    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if (call := next(calls)) >= ALWAYS and call % THEN_EVERY:
            return function(*args, **kwargs)
        try:
            return inner(*args, **kwargs)
        except TypeCheckError as error:
            if not hasattr(error, "final"):
                error.final = True  # type: ignore[attr-defined]
                _let_it_refuse(function, args, kwargs)
            raise

    return outer


def shapes_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function that state a shape; `NameError` for one that says nothing."""
    found = {}
    for name, kind in inspect.get_annotations(function).items():
        if isinstance(kind, str):
            try:
                kind = eval(kind, function.__globals__)
            except NameError:
                if SHAPED.search(kind):
                    raise
        if SHAPED.search(str(kind)):
            found[name] = kind
    return found


def _signature(function: Callable[..., Any], shaped: dict[str, Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=shaped.get(p.name, Any)) for p in signature.parameters.values()
    ]
    return signature.replace(
        parameters=parameters, return_annotation=shaped.get("return", inspect.Signature.empty)
    )


def _let_it_refuse(function: Callable[..., Any], args: Any, kwargs: Any) -> None:
    from orderdp_theory.common.errors import InputError  # whose package the hook has to see first

    try:
        function(*args, **kwargs)
    except (InputError, TypeError) as error:
        if not isinstance(error, TypeCheckError):  # which is a TypeError too
            raise
    except Exception:
        return
