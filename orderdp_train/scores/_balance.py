"""Class balance, for all methods in one place: how many of each class, and who picks them."""

from collections.abc import Callable

import torch
from jaxtyping import Int64, Integer, Real
from torch import Tensor

from orderdp_theory.common.errors import InputError
from orderdp_train.rules.base import check_generator, real_tensor
from orderdp_train.scores._arrays import Array, checked_budget, class_labels

Select = Callable[[Tensor, int], Tensor]


def class_budgets(
    classes: Integer[Array, "n"], k: int
) -> tuple[Integer[Tensor, "c"], Int64[Tensor, "c"]]:
    """The labels that occur, ascending, and how many of `k` each may keep, int64 `(c,)` both.

    Shares are proportional to class sizes, `k n_c / n`, rounded by largest remainders (Hamilton's
    method; of equal remainders the smaller label first), and no class is left without a sample:
    what a class lacks is taken from the largest budget. Integer arithmetic, so the sum is `k`.

    Raises `ValueError` if there are more classes than `k`, or k is not in 1..n.

    Example:
        >>> labels, budgets = class_budgets(np.array([0, 0, 0, 0, 1, 1]), k=3)
        >>> labels.tolist(), budgets.tolist()
        ([0, 1], [2, 1])
    """
    labels = torch.atleast_1d(real_tensor("classes", classes))
    n = len(labels)
    present, sizes = class_labels(labels, n, "classes").unique(return_counts=True)
    checked_budget(k, n)
    if k < len(present):
        raise InputError(
            f"{k} samples cannot represent {len(present)} classes: keep at least one of each, "
            "or pass classes=None"
        )
    budgets, remainders = k * sizes // n, k * sizes % n
    order = remainders.argsort(descending=True, stable=True)
    budgets[order[: k - int(budgets.sum())]] += 1
    for empty in (budgets == 0).nonzero().flatten():
        budgets[budgets.argmax()] -= 1
        budgets[empty] = 1
    return present, budgets


def select_by_class(n: int, k: int, classes: Array | None, select: Select) -> Tensor:
    """Run `select` on everything (`classes=None`), or on each class with its budget.

    `select(rows, budget)` gets int64 `(m,)` row numbers, ascending, and returns int64 `(budget,)`
    positions within `rows`. Returned are row numbers, int64 `(k,)`, class after class.
    """
    checked_budget(k, n)
    if classes is None:
        return select(torch.arange(n), k)
    labels = class_labels(classes, n, "classes").cpu()
    kept = []
    for label, budget in zip(*class_budgets(labels, k), strict=True):
        rows = (labels == label).nonzero().flatten()
        kept.append(rows[select(rows, int(budget)).cpu()])
    return torch.cat(kept)


def keep_top(
    scores: Real[Array, "n"],
    k: int,
    generator: torch.Generator,
    *,
    classes: Integer[Array, "n"] | None = None,
) -> Int64[Tensor, "{k}"]:
    """The k samples with the largest scores, int64 `(k,)`, best first (class after class).

    Args:
        scores: `(n,)`; infinities are fine, NaN is a `ValueError`.
        generator: breaks ties uniformly at random, so that the order of a data set does not decide.
        classes: integer labels `(n,)`: the top of each class with `class_budgets`. None: of all.

    Cost O(n log n) time, O(n) memory.

    Example:
        >>> scores, generator = np.array([4.0, 3.0, 2.0, 1.0]), torch.Generator().manual_seed(0)
        >>> keep_top(scores, 2, generator).tolist()
        [0, 1]
        >>> keep_top(scores, 2, generator, classes=np.array([0, 0, 1, 1])).tolist()
        [0, 2]
    """
    check_generator(generator)
    values = real_tensor("scores", scores).cpu()
    if values.ndim != 1 or values.isnan().any():
        raise InputError(f"scores must be n numbers, got shape {tuple(values.shape)} or a NaN")

    def select(rows: Tensor, budget: int) -> Tensor:
        shuffle = torch.randperm(len(rows), generator=generator, device=generator.device).cpu()
        order = values[rows[shuffle]].argsort(descending=True, stable=True)
        return shuffle[order[:budget]]

    return select_by_class(len(values), k, classes, select)
