"""What an audit found, as plain frozen values that go to JSON unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from jaxtyping import Float64, Int64
from torch import Tensor

from orderdp_train.auditing.agreement import Agreement

# Marks fields with an entry a sample, which are stored apart from the numbers.
SAMPLES = {"samples": True}


def plain(value: Any, *, samples: bool = False) -> Any:
    """Dataclasses as dictionaries, ready for JSON, without fields that are marked `SAMPLES`.

    With `samples` these too, as the tensors that they are.
    """
    if is_dataclass(value):
        names = [f.name for f in fields(value) if samples or not f.metadata]
        return {name: plain(getattr(value, name), samples=samples) for name in names}
    if isinstance(value, dict):
        return {key: plain(item, samples=samples) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, samples=samples) for item in value]
    return value


@dataclass(frozen=True)
class Layer:
    """One parameter tensor: relative to its own full-data gradient, as in `RuleAudit`.

    Example:
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]))
        >>> (rule,) = audit(torch.nn.Linear(3, 2), data, {"random": RandomSubset(10, 4)}).rules
        >>> [(layer.name, round(layer.bias, 6)) for layer in rule.layers]
        [('weight', 0.0), ('bias', 0.0)]
    """

    name: str
    cosine: float
    scale: float
    bias: float
    variance: float | None


@dataclass(frozen=True)
class Surrogate:
    """The loss that a rule's expected gradient belongs to, `sum_i w_i L_i / sum_i w_i`.

    `gap` is its excess over the mean loss; `gap <= chi * std(L_i)` and `gap <= tv *
    range(L_i)`, with the chi-square and total-variation distances of the weights to uniform
    weights.

    Example:
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]))
        >>> (rule,) = audit(torch.nn.Linear(3, 2), data, {"random": RandomSubset(10, 4)}).rules
        >>> abs(rule.surrogate.gap) < 1e-6, round(rule.surrogate.effective_sample_size, 6)
        (True, 10.0)
    """

    loss: float
    gap: float
    chi: float
    chi_bound: float
    tv: float
    tv_bound: float
    effective_sample_size: float


@dataclass(frozen=True)
class TheoremFour:
    """The terms of the paper's Theorem 4 at one model, as printed and as they have to be.

    Printed: `spectrum_deviation` C_s, `finite_population_factor` sqrt((n-s)/(s(n-1))),
    `largest_loss` max_i |L_i|, their product `wasserstein_term` with sqrt(2), and `gap` Q_n,
    here at this model alone. Corrected: the transfer from L_q to L costs `gap` exactly, at most
    `tv_range` whatever the losses; from L to the population risk it costs a Rademacher term, for
    which networks have no useful value, and `fluctuation`, b sqrt(ln(2/failure)/(2n)) at failure
    0.05 with the observed range b of the losses. The optimization error is the bound of Theorem 3,
    for convex losses only.
    """

    spectrum_deviation: float
    finite_population_factor: float
    largest_loss: float
    wasserstein_term: float
    gap: float
    tv_range: float
    fluctuation: float


@dataclass(frozen=True)
class FollowedParts:
    """The mean gradient followed over a real epoch, against `grad L` where the epoch began.

    Norms relative to `|grad L|`. `parts` are the norms of vectors that add up to `bias`,
    those of `RuleAudit` and draw, reuse and minibatches; their sum differs from it by
    `residual`.
    """

    bias: float
    cosine: float
    scale: float
    parts: dict[str, float]
    residual: float


@dataclass(frozen=True)
class ScoreSplit:
    """How what stored scores do to a bias was split, by `replays` of the rule at the audited model.

    `whole` is the norm of the sum: stored against current scores. `errors` belong to the causes
    score noise, survivorship and staleness in `RuleAudit.parts`: root mean square lengths of the
    errors of these vectors. Norms are relative to `|grad L|`. The replays took `passes` forward
    passes over the data.
    """

    replays: int
    passes: float
    whole: float
    errors: dict[str, float]


@dataclass(frozen=True)
class RuleAudit:
    """One selection rule at one model.

    All of `bias`, `parts`, `monte_carlo` and `monte_carlo_expected` are norms relative to
    `|grad L|`; `scale` is `|E[g~]| / |grad L|` and `scale_predicted` is `n max_i w_i`,
    the scale if the samples that are not sure to get the largest weight had no gradient (s/q for
    OrderDP). `parts` are the norms of vectors whose sum differs from the bias vector by
    `parts_residual`. `variance` is `tr Cov(g~) / |grad L|²` for one selection, None where the
    rule's second-order inclusion probabilities are not known in closed form. `monte_carlo` is the
    distance of the gradient estimated from `agreement.draws` selections to the exact one, and
    `monte_carlo_expected` its root mean square, `sqrt(tr Cov / draws)`. `unreachable` counts
    the samples with weight 0, which no selection at the present scores can hold, and
    `unreachable_samples` are their indices, int64 and ascending; not part of the JSON.
    `bias_error` and `part_errors` are standard errors of `bias` and of its `parts` over the views
    of augmented samples, if there are several; of plain samples all are exact to rounding. Without
    a `split` the staleness in `parts` is all that stored scores do.

    Example:
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]))
        >>> (rule,) = audit(torch.nn.Linear(3, 2), data, {"full data": FullData(10)}).rules
        >>> rule.method, round(rule.cosine, 6), round(rule.scale, 6), rule.unreachable
        ('full data', 1.0, 1.0, 0)
    """

    method: str
    kept: float
    kept_fraction: float
    cosine: float
    scale: float
    scale_predicted: float
    bias: float
    parts: dict[str, float]
    parts_residual: float
    variance: float | None
    bias_to_variance: float | None
    agreement: Agreement | None
    monte_carlo: float | None
    monte_carlo_expected: float | None
    surrogate: Surrogate
    unreachable: int
    unreachable_by_class: list[int] | None
    layers: list[Layer]
    theorem_four: TheoremFour | None
    epoch: FollowedParts | None
    bias_error: float | None = None
    part_errors: dict[str, float] = field(default_factory=dict)
    split: ScoreSplit | None = None
    unreachable_samples: Int64[Tensor, "m"] | None = field(
        default=None, repr=False, compare=False, metadata=SAMPLES
    )


@dataclass(frozen=True)
class Audit:
    """Rules audited at one model: `n` samples with `mean_loss` L, `gradient_norm` of `grad
    L`.

    `slow` says in words what no fast path fitted, so that a slower exact one was taken. `views`
    counts the redraws of the augmentation that gradients are means over; None for plain samples.
    `largest_gradient` is the largest norm of a sample's gradient, None without moments; `losses`
    float64 `(n,)` are not part of the JSON. `passes` is how often the audit read the data, by the
    process that reports: once for the losses, the rest with a backward pass.

    Example:
        >>> x, y = torch.randn(10, 3), torch.arange(10) % 2
        >>> data = Population(10, lambda indices: (x[indices], y[indices]))
        >>> found = audit(torch.nn.Linear(3, 2), data, {"full data": FullData(10)})
        >>> found.n, found.parameters, [rule.method for rule in found.rules]
        (10, 8, ['full data'])
    """

    n: int
    parameters: int
    mean_loss: float
    loss_std: float
    loss_range: float
    gradient_norm: float
    rules: list[RuleAudit]
    slow: list[str] = field(default_factory=list)
    views: int | None = None
    largest_gradient: float | None = None
    passes: float | None = None
    losses: Float64[Tensor, "n"] | None = field(
        default=None, repr=False, compare=False, metadata=SAMPLES
    )

    def __getitem__(self, method: str) -> RuleAudit:
        for rule in self.rules:
            if rule.method == method:
                return rule
        known = ", ".join(rule.method for rule in self.rules)
        raise KeyError(f"no method {method!r} in this audit, only {known}")

    def as_dict(self) -> dict[str, Any]:
        """Plain lists, dictionaries and numbers, ready for JSON."""
        return plain(self)
