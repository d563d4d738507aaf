"""Survey sampling where the scores lie: no shape depends on a value, so nobody waits for a GPU.

`orderdp_theory.proportional_inclusion` and `orderdp_theory.pivotal_sample` on tensors, which are
not looked at: what those refuse is not noticed here. Statements and proofs:
proofs/survey_sampling.md.
"""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from orderdp_theory.pivotal import ROUNDING
from orderdp_theory.proportional import NEGLIGIBLE


def inclusion_on_device(sizes: Float64[Tensor, "n"], m: int, floor: float) -> Float64[Tensor, "n"]:
    """`proportional_inclusion`, as exact: the sum of the probabilities is m to about 1e-15 m.

    O(n log n): a sort, and a bisection of as many sums of n as 2n has binary digits.
    """
    n = len(sizes)
    largest = sizes.max()
    x = sizes / torch.where(largest > 0, largest, 1.0)
    positive = x >= NEGLIGIBLE
    x = torch.where(positive, x, 0.0)
    # The sum over all samples is linear in c between two bends; it reaches m at bends[high].
    to_cap, to_floor = (torch.where(positive, level / x, torch.inf) for level in (1.0, floor))
    bends = torch.cat([to_cap, to_floor]).sort().values
    low = torch.zeros(1, dtype=torch.int64, device=x.device)
    high = low + 2 * n - 1
    for _ in range((2 * n - 1).bit_length()):
        middle = (low + high) // 2
        below = torch.where(positive, bends[middle] * x, 0.0).clamp(floor, 1).sum() < m
        low = torch.where(below, middle + 1, low).minimum(high)
        high = torch.where(below, high, middle)
    reached = bends[high]
    before = torch.where(high > 0, bends[(high - 1).clamp_min(0)], 0.0)
    capped, floored = to_cap <= before, to_floor >= reached
    free = ~(capped | floored)
    fixed = capped.double().clamp_min(floor)
    rate = (m - fixed.masked_fill(free, 0).sum()) / x.masked_fill(~free, 0).sum()
    pi = torch.where(free, rate * x, fixed).clamp(floor, 1)
    # Where all of positive size have reached 1 before, the others share the rest.
    many = positive.sum().double()
    share = (m - many) / (n - many).clamp_min(1)
    return torch.where(many + (n - many) * floor <= m, torch.where(positive, 1.0, share), pi)


def drawn_on_device(
    inclusion: Float64[Tensor, "n"], m: int, uniforms: Float64[Tensor, "2 {m}"]
) -> Int64[Tensor, "{m}"]:
    """`pivotal_sample`: of the same probabilities, sum m, and uniforms the same samples.

    Up to the rounding of sums where a GPU adds in another order. O(n log n), the time of a sort.
    """
    n, cluster = len(inclusion), torch.arange(m, device=inclusion.device)
    certain = inclusion > 1 - ROUNDING
    # Those that are certain come first, and take no place on the line of the others.
    order = certain.byte().argsort(descending=True, stable=True)
    line = inclusion.masked_fill(certain, 0)[order].cumsum(0)
    first = certain.sum()
    # What follows is about clusters 0 ... m - first - 1; what it makes of more is not used.
    final = cluster >= m - first - 1
    border = torch.searchsorted(line, (cluster + 1).double()).clamp(1, n - 1)
    before, after = cluster + 1 - line[border - 1], line[border] - (cluster + 1)
    point = cluster + uniforms[0] * torch.where(final, 1.0, 1 - before)
    inner = torch.searchsorted(line, point, right=True)
    inner = inner.minimum(torch.where(final, n - 1, border - 1))
    carried = (inner == border.roll(1)) & (cluster > 0)
    border_wins = (uniforms[1] < before / (1 - after)) & ~final
    goes_on = torch.where(border_wins, inner, border)
    known = torch.where(border_wins & carried, 0, cluster).cummax(0).values
    winner = torch.where(carried, goes_on[known].roll(1), inner)
    winner = torch.where(border_wins, border, winner)
    return order[torch.where(cluster < first, cluster, winner[(cluster - first).clamp_min(0)])]
