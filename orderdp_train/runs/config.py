"""What determines a run's result, and its form on disk."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from orderdp_theory.arguments import integer, number
from orderdp_theory.common.errors import InputError
from orderdp_train.rules import RuleConfig
from orderdp_train.training.recipe import Recipe
from orderdp_train.training.state import check_seed

Selection = Literal["epoch", "iteration"]
FORMAT = 2


@dataclass(frozen=True)
class RunConfig:
    """All that determines a run's result.

    `selection` "iteration" is Algorithm 1: every step selects a batch of its own, in proportion
    s : q to the epoch's, and an epoch has as many steps as with "epoch". `start` is the SHA-256 of
    the checkpoint of another run that this one began from, if it did, and `pretrained` that of the
    masked autoencoder whose encoder it fine-tunes.

    Example:
        >>> config = RunConfig(data="digits", rule=RuleConfig("orderdp"), recipe=RECIPES["smoke"])
        >>> config.differences(RunConfig(seed=1, recipe=RECIPES["smoke"]))
        'its seed is 0 and not 1'
    """

    data: str = "digits"
    model: str = "cnn"
    rule: RuleConfig = field(default_factory=RuleConfig)
    selection: Selection = "epoch"
    label_noise: float = 0.0
    seed: int = 0
    recipe: Recipe = field(default_factory=Recipe)
    start: str = ""
    pretrained: str = ""

    def __post_init__(self) -> None:
        for name in ("data", "model", "selection", "start", "pretrained"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} must be a word, got {getattr(self, name)!r}")
        object.__setattr__(self, "seed", integer("seed", self.seed))
        check_seed(self.seed)
        number("label_noise", self.label_noise)
        if self.selection not in get_args(Selection):
            raise InputError(f"unknown selection {self.selection!r}: choose epoch or iteration")
        if self.selection == "iteration" and not self.rule.rule.per_step:
            raise InputError(f"{self.rule.name} has no fixed budget to split: use selection epoch")

    def per_step(self, n: int) -> tuple[RuleConfig, int | None]:
        """The rule of one selection over n samples, and how many selections make an epoch, if not
        one."""
        if self.selection == "epoch":
            return self.rule, None
        return self.rule.per_step(n, self.recipe.batch_size)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        values = {"format": FORMAT, **asdict(self), "rule": self.rule.to_json()}
        return {k: v for k, v in values.items() if v or k not in ("start", "pretrained")}

    def to_json(self) -> str:
        return json.dumps(self.as_dict(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: Path) -> RunConfig:
        """Read `to_json` back; `ValueError` naming `source` if it is something else."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{source} is not the configuration of a run: {error}") from None
        return cls.from_dict(values, source)

    @classmethod
    def from_dict(cls, values: Any, source: Path) -> RunConfig:
        """Read `as_dict` back; `ValueError` naming `source` if it is something else."""
        try:
            if not isinstance(values, dict):
                raise TypeError("it holds no object")
            values = dict(values)
            version = values.pop("format", 1)
            if version == FORMAT:
                rule, recipe = RuleConfig.from_json(values["rule"]), Recipe(**values["recipe"])
                return cls(**{**values, "rule": rule, "recipe": recipe})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{source} is not the configuration of a run: {error}") from None
        raise InputError(
            f"{source} is of version {version} and this program reads version {FORMAT}: use the "
            "version of the program that wrote it"
        )

    def differences(self, asked: RunConfig) -> str:
        """What is other in the configuration `asked`, in words; empty if nothing is."""
        old, new = _flat(self), _flat(asked)
        return ", ".join(
            f"its {name} is {old.get(name)!r} and not {new.get(name)!r}"
            for name in old | new
            if old.get(name) != new.get(name)
        )


def _flat(config: RunConfig) -> dict[str, Any]:
    own = {f.name: getattr(config, f.name) for f in fields(config)}
    del own["recipe"]
    return own | asdict(config.recipe) | dict(config.rule.options) | {"rule": config.rule.name}
