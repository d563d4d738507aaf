"""Audit any number of selection rules at one model: `audit`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from orderdp_theory.arguments import integer
from orderdp_theory.common.errors import InputError
from orderdp_theory.common.limits import require_room
from orderdp_train.auditing.agreement import DRAW
from orderdp_train.auditing.candidate import Candidate
from orderdp_train.auditing.followed import FollowedEpoch
from orderdp_train.auditing.inner import pieces
from orderdp_train.auditing.layers import audit_mode
from orderdp_train.auditing.moments import RankedMoments
from orderdp_train.auditing.population import (
    Loss,
    counted,
    cross_entropy,
    forward_batch,
    population_of,
)
from orderdp_train.auditing.result import Audit
from orderdp_train.auditing.shared import Shared
from orderdp_train.auditing.walk import MEMORY_LIMIT, expected_gradients, parts
from orderdp_train.auditing.walks import walks_of
from orderdp_train.rules import SelectionRule

DRAWS = 400
FALSE_ALARM = 0.01
SELECTED = 16  # bytes of memory of a selected sample, which the Monte Carlo gradient keeps
VIEW = 2000  # bytes of memory of a view, however small its data


def audit(
    model: nn.Module,
    dataset: Any,
    rules: Mapping[str, SelectionRule] | Iterable[SelectionRule],
    *,
    loss: Loss = cross_entropy,
    collate: Callable[[list[Any]], Any] = default_collate,
    draws: int = DRAWS,
    false_alarm: float = FALSE_ALARM,
    moments: bool = True,
    monte_carlo: bool = True,
    views: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    autocast: torch.dtype | None = None,
    memory_limit: int = MEMORY_LIMIT,
    on_batch: Callable[[int], None] | None = None,
    followed: Mapping[str, FollowedEpoch] | None = None,
) -> Audit:
    """Which gradient does each rule follow in expectation, and how far is it from the full one?

    Args:
        model: any module; audited on the device of its parameters, those that require gradients,
            with normalisation and dropout in eval mode, since otherwise the loss of a sample
            depends on the others.
        dataset: a map-style dataset, or a `Population`, which has its own loss and batches.
        rules: by name, or in a sequence (named by their classes); anything with the interface of
            `orderdp_train.SelectionRule`, at its present scores.
        loss: `(model, batch) -> (B,)`, one loss a sample; for batches of inputs and targets,
            `supervised((outputs, targets) -> (B,))`.
        collate: makes a batch of a list of samples: tensors, tuples, dictionaries, nested or not.
        draws: calls of every rule's `select` for the test of its stated expectation; 0 for none.
        false_alarm: chance that the test alarms for any rule if all of them are right.
        moments: also stream per-sample gradients, for covariances and for projections in the test.
        monte_carlo: also the gradient of what was drawn, at a third of a pass over the data a rule.
        views: gradients of augmented samples instead of plain ones, the mean over so many redraws
            of the augmentation, the same for the full data and for every rule; biases come with
            their uncertainty over them. Fresh scores are of plain samples still; covariances, which
            one view would not tell, are left out.
        batch_size: samples a forward-backward pass.
        seed: of the selections drawn and of the random projections.
        autocast: precision of forward and backward (`torch.bfloat16`); sums stay float64.
        memory_limit: bytes for vectors as long as the parameters; what does not fit at once, for
            many rules or for one, is done in parts of the parameters, a walk each.
        on_batch: told the number of samples after each batch of the walk, for progress bars.
        followed: by rule name, what `follow_epoch` of `auditing.followed` recorded
            from here on, on plain samples, to split the bias of a whole epoch too.

    Raises:
        ValueError: wrong sizes, more draws or views than fit into memory, non-finite losses,
            weights or gradients, a full-data gradient of 0.
        TypeError: a dataset that cannot be indexed.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> x, y = torch.randn(40, 3), torch.arange(40) % 2
        >>> model, data = torch.nn.Linear(3, 2), torch.utils.data.TensorDataset(x, y)
        >>> losses = torch.nn.functional.cross_entropy(model(x), y, reduction="none").detach()
        >>> rule = OrderDP(Design(40, 20, 12))
        >>> rule.update(range(40), losses)
        >>> found = audit(model, data, [rule, RandomSubset(40, 20)])
        >>> [(rule.method, rule.bias < 1e-6, rule.unreachable) for rule in found.rules]
        [('OrderDP', False, 8), ('RandomSubset', True, 0)]
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a module, got {model!r}")
    seed = integer("seed", seed)
    named = {name: at_present(rule) for name, rule in _named(rules).items()}
    kept = sum(getattr(rule, "budget", None) or rule.n for rule in named.values())
    require_room("draws", draws, len(named) * DRAW + (SELECTED * kept if monte_carlo else 0))
    require_room("views", views or 0, VIEW)
    device = next(iter(model.parameters())).device
    population = population_of(dataset, device=device, loss=loss, collate=collate)
    if autocast is not None:
        population = replace(population, autocast=autocast)
    for name, rule in named.items():
        if rule.n != population.n:
            raise InputError(f"{name} selects from {rule.n} samples, the data has {population.n}")
    looks = [population]
    if views is not None:
        if views < 1 or population.view is None:
            raise InputError("views need at least one redraw, of a data set that is augmented")
        if followed:
            raise InputError("an epoch is followed on plain samples: leave views out with it")
        looks = [replace(population.view(k), autocast=population.autocast) for k in range(views)]
        moments = False
    read: list[int] = []
    at_once = forward_batch(population, batch_size)
    population, *looks = (counted(samples, read.append) for samples in (population, *looks))
    generator = torch.Generator().manual_seed(seed)
    with audit_mode(model):
        losses = population.all_losses(model, at_once)
    shared = Shared(model, population, losses, generator, draws, moments, memory_limit)
    level = false_alarm / len(named)
    candidates = [
        Candidate(name, rule, shared, draws, level, monte_carlo, (followed or {}).get(name))
        for name, rule in named.items()
    ]
    walks = walks_of(candidates, shared, batch_size)
    size = sum(shared.sizes)
    rows = len(looks) * sum(len(walk.rows) for walk in walks) + moments
    rows += sum(seen.weighted for walk in walks for seen in walk.moments)
    for part in parts(rows, shared.sizes, memory_limit):
        gradients: list[dict[str, Tensor]] = []
        for look in looks:
            gradients.append({})
            for walk in walks:
                found = expected_gradients(
                    model,
                    look,
                    walk.weights(),
                    order=walk.order,
                    batch_size=batch_size,
                    part=part,
                    memory_limit=memory_limit,
                    on_batch=on_batch,
                    on_general=shared.general.add,
                    moments=walk.moments,
                )
                gradients[-1].update(zip(walk.rows, found, strict=True))
                del found
        _add(gradients, part, candidates, shared)
        gradients.clear()  # before the next part takes as much
    seen = [seen for walk in walks for seen in walk.moments]
    shared.finish([moments for moments in seen if isinstance(moments, RankedMoments)])
    norm = math.sqrt(shared.inner.total("full"))
    if not (math.isfinite(norm) and norm > 0):
        raise InputError(
            f"the full-data gradient has norm {norm}, so nothing can be measured relative to it"
        )
    results = [candidate.result(norm) for candidate in candidates]
    return Audit(
        n=population.n,
        parameters=size,
        mean_loss=float(losses.mean()),
        loss_std=shared.loss_std,
        loss_range=shared.loss_range,
        gradient_norm=norm,
        rules=results,
        slow=shared.slow(),
        views=views,
        largest_gradient=shared.largest_gradient,
        losses=losses,
        passes=sum(read) / population.n,
    )


def at_present(rule: SelectionRule) -> SelectionRule:
    """The rule with present losses looked up, where it can do that."""
    return rule.at_present() if hasattr(rule, "at_present") else rule


def _named(
    rules: Mapping[str, SelectionRule] | Iterable[SelectionRule],
) -> dict[str, SelectionRule]:
    if isinstance(rules, Mapping):
        named = {str(name): rule for name, rule in rules.items()}
    else:
        listed = list(rules)
        named = {type(rule).__name__: rule for rule in listed}
        if len(named) < len(listed):
            raise InputError("two rules of one class need names: pass a dictionary name -> rule")
    if not named:
        raise InputError("there is no rule to audit; pass at least one")
    for name, rule in named.items():
        missing = [part for part in ("n", "select", "expected_weights") if not hasattr(rule, part)]
        if missing:
            raise TypeError(
                f"{name} has no {' and no '.join(missing)}: a rule to audit needs n, "
                "select(generator) and expected_weights(scores)"
            )
    return named


def _add(
    gradients: list[dict[str, Tensor]], part: slice, candidates: list[Candidate], shared: Shared
) -> None:
    """Give all candidates the gradients on a part of the parameters, those of each view."""
    for layer, at, here in pieces(part, shared.sizes):
        views = [{row: vector[at] for row, vector in view.items()} for view in gradients]
        piece = views[0]
        if len(views) > 1:
            piece = {row: torch.stack([view[row] for view in views]).mean(0) for row in piece}
        shared.inner.add(layer, full=(piece["full"], piece["full"]))
        for candidate in candidates:
            candidate.add(layer, piece, here, views)
