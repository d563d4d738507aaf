"""The bias of an expected gradient, split by cause into vectors that add up to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from orderdp_train.auditing.inner import PIECE
from orderdp_train.auditing.population import Population
from orderdp_train.auditing.replay import Replays
from orderdp_train.auditing.result import RuleAudit, ScoreSplit
from orderdp_train.auditing.walk import MEMORY_LIMIT, expected_gradients, parts, trainable

CAUSES = ("ranking", "staleness", "normalisation")


def split_bias(
    full: Float64[Tensor, "d"],
    fresh: Float64[Tensor, "d"],
    stored: Float64[Tensor, "d"],
    fresh_sum: float,
    stored_sum: float,
) -> dict[str, Tensor]:
    """Split `stored - full` into its causes; all vectors float64 `(P,)`.

    `full` is `grad L`; `fresh` and `stored` are the expected gradients with the current
    losses and with the stored scores for scores, whose weights add up to `fresh_sum` and
    `stored_sum`.

    - *ranking*: what preferring samples of high loss does, even with perfect scores and weights
      scaled to add up to 1. Zero for a rule that is unbiased up to its step length.
    - *staleness*: what ranking by stored scores instead of current losses changes. `split_scores`
      splits it further and leaves the name to what old parameters do.
    - *normalisation*: weights that do not add up to 1, so only the step length. InfoBatch divides
      by the number of samples kept rather than by n; OrderDP's weights add up to 1.
    """
    unit_fresh, unit_stored = fresh / fresh_sum, stored / stored_sum
    return {
        "ranking": unit_fresh - full,
        "staleness": unit_stored - unit_fresh,
        "normalisation": stored - unit_stored,
    }


def split_scores(
    audited: RuleAudit,
    norm: float,
    model: nn.Module,
    looks: Sequence[Population],
    fresh: Tensor,
    stored: Tensor,
    replays: Replays,
    *,
    order: Tensor,
    batch_size: int,
    memory_limit: int = MEMORY_LIMIT,
) -> RuleAudit:
    """The audit of a rule with what its stored scores do split into causes.

    `fresh` and `stored` are expected weights `(n,)` that add up to 1, by current losses and by the
    stored scores; gradients are means over `looks` at the samples, walked in `order`, and `norm` is
    that of the full one. Instead of staleness `parts` has

    - *score noise*: scores come from augmented samples in training mode; the mean over redraws of
      one such pass, against current losses.
    - *survivorship*: a rule rescores what it selects, so a score that came out low stays for
      longer; moving averages average, and what was not used yet has its first score. The mean over
      replays, against one pass over everything.
    - *staleness*: the run's scores against those of replays, so the old parameters.

    A mean over m has the error tr Cov / m, of the covariance that the m show, and the run's own
    scores are one draw more of that of replays. A cause that is none in truth has a norm whose root
    mean square is its error.
    """
    count, sizes = len(replays.noisy), [p.numel() for _, p in trainable(model)]
    rows = torch.cat([fresh[None], stored[None], replays.noisy, replays.replayed])
    rows = rows[:, order] / len(looks)
    squares = torch.zeros(7, dtype=torch.float64)
    for part in parts(len(rows) * min(len(looks), 2), sizes, memory_limit):
        gradients: list[Tensor] = []
        for look in looks:
            found = expected_gradients(
                *(model, look, rows),
                order=order,
                batch_size=batch_size,
                part=part,
                memory_limit=memory_limit,
            )
            gradients = [gradients[0].add_(found)] if gradients else [found]
        for piece in gradients[0].split(PIECE, dim=1):
            squares += _squares(piece, count).cpu()
    *norms, whole, residual, of_noise, of_replays = squares.div(norm**2).tolist()
    variances = (of_noise / count, (of_noise + of_replays) / count, of_replays * (1 + 1 / count))
    found = dict(zip(SCORE_CAUSES, map(math.sqrt, norms), strict=True))
    epoch = audited.epoch
    return replace(
        audited,
        parts=_in_place(audited.parts, found),
        parts_residual=audited.parts_residual + math.sqrt(residual),
        epoch=epoch and replace(epoch, parts=_in_place(epoch.parts, found)),
        split=ScoreSplit(
            replays=count,
            passes=replays.passes,
            whole=math.sqrt(whole),
            errors=dict(zip(SCORE_CAUSES, map(math.sqrt, variances), strict=True)),
        ),
    )


SCORE_CAUSES: tuple[str, ...] = ("score noise", "survivorship", "staleness")


def _squares(gradients: Tensor, count: int) -> Tensor:
    """Squared norms of the three causes, of their sum and of what it lacks to the whole; traces.

    `gradients` `(2 + 2 count, p)` are those of fresh and stored scores, of redraws and of replays.
    The traces are of the covariances of the last two.
    """
    (fresh, stored), noisy, replayed = gradients.split([2, count, count])
    chain = torch.stack([fresh, noisy.mean(0), replayed.mean(0), stored])
    causes, whole = chain.diff(dim=0), stored - fresh
    vectors = torch.stack([*causes, whole, causes.sum(0) - whole])
    traces = [x.var(0).sum() for x in (noisy, replayed)]
    return torch.cat([vectors.square().sum(1), torch.stack(traces)])


def _in_place(parts: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    """The norms of all causes, those `found` in the place of staleness."""
    kept = {name: found if name == "staleness" else {name: norm} for name, norm in parts.items()}
    return {name: norm for own in kept.values() for name, norm in own.items()}
