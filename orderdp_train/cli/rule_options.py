"""The options of all rules on a command line, and the rules that they describe."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import typer

from orderdp_theory.common.errors import InputError
from orderdp_train.rules import RULES, Option, RuleConfig, rule_class, rules_by_name


def with_rule_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each option of each rule, as one argument `rule_options`.

    The command is described anew each time, so that rules registered later are there too.
    """

    def wrapper(**given: Any) -> None:
        options = {name: given.pop(name) for name in list(given) if name in known}
        command(**given, rule_options={k: v for k, v in options.items() if v is not None})

    known = {**_all_options(), "exploit": None}
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    parameters = [
        p.replace(annotation=hints[p.name])
        for p in signature.parameters.values()
        if p.name != "rule_options"
    ]
    parameters += [_parameter(name, help) for name, help in _helps().items()]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # pyright: ignore
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    return wrapper


def configured(
    names: list[str], given: Mapping[str, str], base: RuleConfig | None = None
) -> list[RuleConfig]:
    """The rules `names` with the options given, each taken by the rules that have it.

    `exploit`, q/s, says the budget by s/n: keep = explore × exploit, for every rule whose budget is
    a share of the samples. With `base`, options that are not given are those of that rule.
    Raises `InputError` for an option that none of the rules has.
    """
    rest = dict(given)
    exploit = rest.pop("exploit", None)
    for name in rest:
        if not any(name in rule_class(rule).options for rule in names):
            have = sorted({option for rule in names for option in rule_class(rule).options})
            raise InputError(
                f"{' and '.join(names)} {'takes' if len(names) == 1 else 'take'} no "
                f"--{name.replace('_', '-')}; options: "
                + (", ".join(f"--{option.replace('_', '-')}" for option in have) or "none")
            )
    found = []
    for rule in names:
        options = rule_class(rule).options
        values = dict(base.options) if base is not None and base.name == rule else {}
        values |= {
            name: options[name].parse(_dashed(name), text)
            for name, text in rest.items()
            if name in options
        }
        if exploit is not None and "keep" in options and options["keep"].share:
            if "keep" in rest:
                raise InputError("--keep and --exploit both say the budget: give one of them")
            explore = float(values.get("explore", rest.get("explore", 0.5)))
            share = Option(1.0, "", low=0, high=1, open="low").parse("--exploit", exploit)
            values["keep"] = explore * float(share)
        found.append(RuleConfig(rule, values))
    return found


def rule_names() -> str:
    """All rules, for help texts."""
    return ", ".join(rules_by_name())


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _all_options() -> dict[str, list[tuple[str, Option]]]:
    """By option, the rules that have it."""
    found: dict[str, list[tuple[str, Option]]] = {}
    for rule, cls in RULES.items():
        for name, option in cls.options.items():
            found.setdefault(name, []).append((rule, option))
    return found


def _helps() -> dict[str, str]:
    helps = {}
    for name, owners in _all_options().items():
        texts: dict[tuple[str, Any], list[str]] = {}
        for rule, option in owners:
            texts.setdefault((option.help, option.default), []).append(rule)
        helps[name] = " ".join(
            f"{', '.join(rules)}: {help} ({default})" for (help, default), rules in texts.items()
        )
    helps["exploit"] = "q/s instead of --keep: the budget is explore × exploit."
    return helps


def _parameter(name: str, help: str) -> inspect.Parameter:
    option = typer.Option(
        _dashed(name), help=help, rich_help_panel="Options of the rules", show_default=False
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )
