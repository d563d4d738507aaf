"""The walks of an audit: in which orders, with which rows of weights, for which covariances."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor

from orderdp_theory import Ranking
from orderdp_train.auditing.candidate import Candidate, monotone
from orderdp_train.auditing.moments import RankedMoments
from orderdp_train.auditing.sequence import SequenceMoments
from orderdp_train.auditing.shared import Shared, is_uniform, same_coefficient, same_ranking
from orderdp_train.rules.pairs import RankPairs
from orderdp_train.training.processes import world_size


@dataclass
class Walk:
    """An order, rows of weights in it by their names, and what looks at single samples."""

    order: Tensor
    rows: dict[str, Tensor]
    moments: list[RankedMoments | SequenceMoments] = field(default_factory=list)

    def weights(self) -> Float64[Tensor, "rows n"]:
        """Its rows, if it has any."""
        n = len(self.order)
        return torch.stack([torch.zeros(n, dtype=torch.float64), *self.rows.values()])[1:]


def walks_of(candidates: list[Candidate], shared: Shared, batch_size: int) -> list[Walk]:
    """The walks that give everything.

    Covariances need one in the order of each ranking; else one in the order of the current
    losses does. A row that is not constant over long stretches of it has a direction of its own in
    a batch. Rows that share another order in which they are constant are worth a walk if there are
    many.
    """
    n = shared.population.n
    walks: list[Walk] = []
    sequences = _sequences(candidates, shared, batch_size)
    for seen in (*_moments(candidates, shared, batch_size), *sequences):
        same = [walk for walk in walks if torch.equal(walk.order, seen.order)]
        walks += [] if same else [Walk(seen.order, {})]
        (same or walks[-1:])[0].moments.append(seen)
    walks = walks or [Walk(shared.order, {})]
    walks[0].rows["full"] = torch.full((n,), 1 / n, dtype=torch.float64)
    others: list[Walk] = []
    for candidate in candidates:
        for row, weights in candidate.rows().items():
            name = f"{candidate.name}/{row}"
            fits = [walk for walk in walks if monotone(weights.take(walk.order))]
            if fits or row not in ("stored", "fresh"):
                chosen = fits[0] if fits else walks[0]
            else:
                order = candidate.order if row == "stored" else shared.order
                same = [walk for walk in others if walk.order is order]
                chosen = same[0] if same else Walk(order, {})
                others += [] if same else [chosen]
            chosen.rows[name] = weights.take(chosen.order)
    for walk in others:
        # A row costs less than a pass, so that one alone is not worth a walk.
        rows = len(walk.rows)
        if rows > 1 and shared.cost_of_rows(rows, batch_size) >= 1:
            walks.append(walk)
        else:
            back = torch.empty_like(walk.order)
            back[walk.order] = torch.arange(n)
            walks[0].rows |= {k: w.take(back).take(walks[0].order) for k, w in walk.rows.items()}
    return [walk for walk in walks if walk.rows or walk.moments]


def _moments(candidates: list[Candidate], shared: Shared, batch_size: int) -> list[RankedMoments]:
    """One for each ranking and coefficients with pair probabilities.

    If there is none, one in the order of a sequence, or else of the current losses.
    """
    if not shared.moments or world_size() > 1:
        return []
    wanted: list[tuple[Ranking, Tensor | None, list[RankPairs]]] = []
    for design in (candidate.design for candidate in candidates):
        if design is None or design.pairs is None:
            continue
        a = None if is_uniform(design.coefficient) else design.coefficient
        for known, its, alike in wanted:
            if same_ranking(known, design.pairs.ranking) and same_coefficient(its, a):
                alike.append(design.pairs)
                break
        else:
            wanted.append((design.pairs.ranking, a, [design.pairs]))
    if not wanted:
        orders = [c.design.sequence.order for c in candidates if c.design and c.design.sequence]
        scores = orders[0].argsort().double().neg() if orders else shared.losses
        wanted = [(shared.ranking(scores)[0], None, [])]
    return [
        RankedMoments(
            ranking,
            shared.sizes,
            pairs,
            batch_size=batch_size,
            tolerance=shared.tolerance,
            directions=() if k else shared.directions,
            coefficient=coefficient,
            device=shared.device,
        )
        for k, (ranking, coefficient, pairs) in enumerate(wanted)
    ]


def _sequences(
    candidates: list[Candidate], shared: Shared, batch_size: int
) -> list[SequenceMoments]:
    """One for each rule that samples in a sequence."""
    found = []
    for candidate in candidates:
        design = candidate.design
        if design is not None and design.sequence is not None and world_size() == 1:
            candidate.sequence = SequenceMoments(
                design.sequence,
                design.coefficient,
                shared.sizes,
                batch_size=batch_size,
                device=shared.device,
            )
            found.append(candidate.sequence)
    return found
