"""Rules by name: how a rule is registered, configured and built."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import Holdout, Recorder, Scorer, SelectionRule, check_samples
from orderdp_train.rules.option import Value

RULES: dict[str, type[SelectionRule]] = {}
"""Every registered rule by its name, in the order of tables and figures."""

Rule = TypeVar("Rule", bound=type[SelectionRule])


def register(cls: Rule) -> Rule:
    """Make a rule known to commands, tables and figures, by its `name`; a class decorator.

    Raises `ValueError` if another rule has the name or the label.

    Example:
        >>> @register
        ... class Third(StaticRandom):
        ...     name, label = "third", "a fixed third"
        >>> RULES["third"].label
        'a fixed third'
    """
    for other in RULES.values():
        same_class = (other.__module__, other.__qualname__) == (cls.__module__, cls.__qualname__)
        if not same_class and (other.name == cls.name or other.label == cls.label):
            raise InputError(f"the name or label of {cls.name!r} is taken by {other.__qualname__}")
    RULES[cls.name] = cls
    ordered = sorted(RULES.items(), key=lambda item: item[1].order)
    RULES.clear()
    RULES.update(ordered)
    return cls


def rules_by_name() -> list[str]:
    """The registered rules that a name and options are enough to build."""
    return [name for name, cls in RULES.items() if not cls.made_from]


def rule_class(name: str) -> type[SelectionRule]:
    """The rule registered as `name`; `ValueError` that lists the names if there is none."""
    if name not in RULES:
        raise InputError(f"unknown rule {name!r}: choose one of {', '.join(rules_by_name())}")
    return RULES[name]


@dataclass(frozen=True)
class RuleConfig:
    """A rule by name, with a value for each of its options; defaults fill what is not given.

    Raises `ValueError` for an unknown rule, an option that the rule does not have, and a value out
    of the option's bounds.

    Example:
        >>> config = RuleConfig("orderdp", {"keep": 0.2})
        >>> config.build(1000).design
        Design(n=1000, s=500, q=200)
        >>> RuleConfig("orderdp", {"keep": 2.0})
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: keep must be a number in (0, 1], got 2.0
    """

    name: str = "orderdp"
    options: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        cls = rule_class(self.name)
        if cls.made_from:
            raise InputError(
                f"{self.name} is made from {cls.made_from}, which a name cannot give: "
                f"use {cls.__name__}"
            )
        known = cls.options
        unknown = [option for option in self.options if option not in known]
        if unknown:
            have = ", ".join(known) or "none"
            raise InputError(f"{self.name} has no option {unknown[0]!r}; its options: {have}")
        values = {o: known[o].check(o, self.options.get(o, known[o].default)) for o in known}
        object.__setattr__(self, "options", values)

    def __getitem__(self, option: str) -> Value:
        return self.options[option]

    @property
    def rule(self) -> type[SelectionRule]:
        return rule_class(self.name)

    @property
    def keep(self) -> float:
        """The nominal kept fraction; 1 for a rule without a budget of its own."""
        return float(self.options.get("keep", 1.0))

    def with_options(self, **options: Value) -> RuleConfig:
        return replace(self, options={**self.options, **options})

    def per_step(self, n: int, batch_size: int) -> tuple[RuleConfig, int]:
        """The rule for a selection at every step, and how many steps make an epoch.

        A step's budget is the batch size, or what an epoch keeps if that is less; all shares of the
        samples are scaled alike, so that s : q stays.
        """
        if not self.rule.per_step:
            raise InputError(f"{self.name} has no fixed budget to split: use selection epoch")
        budget = max(round(self.keep * n), 1)
        batch = min(batch_size, budget)
        shares = {
            name: min(float(self[name]) / self.keep * batch / n, 1.0)
            for name, option in self.rule.options.items()
            if option.share
        }
        return self.with_options(**shares), -(-budget // batch)

    def build(
        self,
        n: int,
        *,
        scorer: Scorer | None = None,
        recorder: Recorder | None = None,
        holdout: Holdout | None = None,
        epochs: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> SelectionRule:
        """The rule for n samples; see `build_rule`."""
        if self.rule.needs_scorer and scorer is None:
            raise InputError(f"{self.name} needs a scorer that gives the candidates' losses")
        setting = Setting(n, scorer, recorder, holdout, epochs, seed, device)
        return self.rule.build(setting, self.options)

    def score_first(self, rule: SelectionRule, scorer: Scorer) -> None:
        """Before the first epoch: tell the rule a loss of every sample, if it is to start with one.

        That is what `initial_score` first-pass says.
        """
        if self.options.get("initial_score") == "first-pass":
            everything = torch.arange(rule.n)
            rule.update(everything, scorer(everything))

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RuleConfig:
        return cls(values["name"], {k: v for k, v in values.items() if k != "name"})


@dataclass(frozen=True)
class Setting:
    """What a rule is built for: n samples, a training of so many epochs, a device.

    `scorer` maps candidate indices `(s,)` to their present losses `(s,)`. `recorder` is asked
    for a recording, and `holdout` for the losses `(n,)` of models trained on other samples, when
    that is needed first, which it is not if a state is loaded before. `seed` is that of what is
    drawn once and stays.

    Example:
        >>> OrderDP.build(Setting(n=1000), RuleConfig("orderdp").options).design
        Design(n=1000, s=500, q=300)
    """

    n: int
    scorer: Scorer | None = None
    recorder: Recorder | None = None
    holdout: Holdout | None = None
    epochs: int | None = None
    seed: int = 0
    device: torch.device | str = "cpu"

    def __post_init__(self) -> None:
        check_samples(self.n)


def build_rule(
    name: str,
    n: int,
    keep: float | None = None,
    *,
    scorer: Scorer | None = None,
    recorder: Recorder | None = None,
    holdout: Holdout | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    **options: Value,
) -> SelectionRule:
    """The rule `name`, one of `RULES`, for n samples, with its own `options`.

    `keep` is a short way to give the option of that name, to the rules that have it. `scorer` is
    for rules that rank by present losses and must then be given; `recorder` for static methods, at
    the latest when they are asked for their subset; `holdout`, which gives `(n,)` losses of models
    trained on other samples, for RHO-loss; `epochs`, the length of the training, for rules that
    anneal and for proxies; `seed` for subsets drawn once. Raises `ValueError` for an unknown name
    or option and for impossible numbers.

    Example:
        >>> build_rule("orderdp", 1000, keep=0.2).design
        Design(n=1000, s=500, q=200)
        >>> build_rule("nobody", 1000)
        Traceback (most recent call last):
            ...
        orderdp_theory.common.errors.InputError: unknown rule 'nobody': choose one of full, ...
    """
    if keep is not None and "keep" in rule_class(name).options:
        options["keep"] = keep
    config = RuleConfig(name, options)
    return config.build(
        n,
        scorer=scorer,
        recorder=recorder,
        holdout=holdout,
        epochs=epochs,
        seed=seed,
        device=device,
    )


MARKERS = "osD^vPX*<>hpdH8"


def looks(labels: list[str], palette: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Colour and marker by label: a rule's own, or the next that no other has; any number."""
    known = {cls.label: cls for cls in RULES.values()}
    own = [known[label] for label in labels if label in known]
    colours = [c for c in palette if c not in {cls.colour for cls in own}] or list(palette)
    markers = [m for m in MARKERS if m not in {cls.marker for cls in own}] or list(MARKERS)
    colour, marker = itertools.cycle(colours), itertools.cycle(markers)
    found = {}
    for label in labels:
        cls = known.get(label)
        found[label] = (
            (cls and cls.colour) or next(colour),
            (cls and cls.marker) or next(marker),
        )
    return found
