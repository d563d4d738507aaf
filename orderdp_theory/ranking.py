"""The descending order of a loss vector, with its ties."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Shaped
from numpy.typing import ArrayLike, NDArray

from orderdp_theory.arguments import real_array
from orderdp_theory.common.arrays import Array, Indices
from orderdp_theory.common.errors import InputError


@dataclass(frozen=True, eq=False)
class Ranking:
    """Ranks of n losses, rank 1 the largest. Tied losses form a group and are interchangeable.

    order: int64 `(n,)`, `order[j - 1]` is the index of the loss of rank j; within a group of ties
    any order.
    starts: int64 `(groups + 1,)`, group g has the ranks `starts[g] + 1, ..., starts[g + 1]`.

    Example:
        >>> ranking = Ranking.of([1.0, 3.0, 1.0, 2.0])
        >>> ranking.order[:2].tolist(), ranking.starts.tolist()  # two of the samples are tied last
        ([1, 3], [0, 1, 2, 4])
        >>> ranking.to_input_order(np.array([0.5, 0.3, 0.1, 0.1])).tolist()
        [0.1, 0.5, 0.1, 0.3]
    """

    order: Int64[Indices, "n"]
    starts: Int64[Indices, "bounds"]

    @classmethod
    def of(cls, losses: "ArrayLike | Ranking", n: int | None = None) -> "Ranking":
        """Rank n finite real losses; a ranking is returned as it is, so that designs can share it.

        Refusals of `real_array`; `ValueError` also unless one-dimensional, not empty, finite and,
        if n is given, of length n.
        """
        if not isinstance(losses, Ranking):
            losses = cls._sort(real_array(losses))
        if n is not None and n != len(losses):
            raise InputError(f"expected n={n} losses, one for each sample, got {len(losses)}")
        return losses

    @classmethod
    def _sort(cls, losses: NDArray[np.floating]) -> "Ranking":
        if losses.ndim != 1:
            raise InputError(f"losses must be one-dimensional, got shape {losses.shape}")
        if losses.size == 0:
            raise InputError("losses must not be empty")
        finite = np.isfinite(losses)
        if not finite.all():
            index = int(np.argmin(finite))
            raise InputError(f"losses must be finite, but losses[{index}] is {losses[index]}")
        order, ordered = _descending(losses)
        new = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
        return cls(order, np.concatenate([[0], new, [losses.size]]))

    def __len__(self) -> int:
        return self.order.size

    def average_ties(
        self, per_rank: Float64[Array, "{len(self)}"]
    ) -> Float64[Array, "{len(self)}"]:
        """The values of tied ranks replaced by their mean, `(n,)` in rank order.

        Equal values stay as they are to the last bit; without ties the argument is returned.
        """
        if self.starts.size == self.order.size + 1:
            return per_rank
        sizes = np.diff(self.starts)
        tied = np.flatnonzero(sizes > 1)
        starts, sizes = self.starts[tied], sizes[tied]
        offsets = np.cumsum(sizes) - sizes
        ranks = np.repeat(starts - offsets, sizes) + np.arange(sizes.sum())
        first = per_rank[starts]
        excess = np.add.reduceat(per_rank[ranks] - np.repeat(first, sizes), offsets)
        averaged = per_rank.copy()
        averaged[ranks] = np.repeat(first + excess / sizes, sizes)
        return averaged

    def pair_excess(
        self,
        later: Float64[Array, "{len(self)}"],
        earlier: Float64[Array, "{len(self)}"] | None = None,
    ) -> Float64[Array, "{len(self.starts)-1}"]:
        """What pairs of tied ranks have above independent ones, float64 `(groups,)`.

        Of coefficients c_jk = earlier_j later_k for ranks j < k (earlier = 1 if not given): their
        mean over the pairs of a group, less mean(earlier) mean(later) over its ranks. Random tie
        breaks replace c_jk by the product of the means from `average_ties`, and by this much more
        within a group. Zero to the last bit where both are constant; groups of one have no pairs.
        """
        starts, sizes = self.starts[:-1], np.diff(self.starts)
        size = np.repeat(sizes, sizes)
        place = np.arange(len(self)) - np.repeat(starts, sizes)
        # A pair's later rank has place p in p of the t (t - 1) / 2 pairs. These weights sum to
        # zero in a group, so its first value can be subtracted, and constants have no excess.
        weight = 2 * place / (size * np.maximum(size - 1, 1)) - 1 / size
        behind = later - np.repeat(later[starts], sizes)
        excess = np.add.reduceat(weight * behind, starts)
        if earlier is None:
            return excess
        ahead = earlier - np.repeat(earlier[starts], sizes)
        excess = earlier[starts] * excess
        excess -= later[starts] * np.add.reduceat(weight * ahead, starts)
        for group in np.flatnonzero(np.logical_or.reduceat(ahead * behind != 0, starts)):
            size, tied = sizes[group], slice(starts[group], starts[group] + sizes[group])
            a, b = ahead[tied], behind[tied]
            pairs = 2 * (np.cumsum(a) - a) @ b / (size * (size - 1))
            excess[group] += pairs - a.mean() * b.mean()
        return excess

    def average_matrix(
        self, matrix: Float64[Array, "{len(self)} {len(self)}"]
    ) -> tuple[
        Float64[Array, "{len(self)} {len(self)}"], Float64[Array, "{len(self)} {len(self)}"]
    ]:
        """A symmetric matrix of the samples, `(n, n)`, in rank order and averaged over tie breaks.

        First of two different and of two equal samples, as second moments need it: averages over
        the pairs of ranks. Then of independent ways for either index, as the squared norm of an
        expectation needs it.
        """
        matrix = matrix[np.ix_(self.order, self.order)]
        starts, sizes = self.starts[:-1], np.diff(self.starts)
        sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
        means = np.repeat(np.repeat(sums / np.outer(sizes, sizes), sizes, axis=0), sizes, axis=1)
        distinct = means.copy()
        diagonal = self.average_ties(np.diag(matrix).copy())
        for start, size, total in zip(starts, sizes, np.diag(sums), strict=True):
            if size > 1:
                tied = slice(start, start + size)
                distinct[tied, tied] = (total - size * diagonal[start]) / (size * (size - 1))
        np.fill_diagonal(distinct, diagonal)
        return distinct, means

    def group(self, number: int | np.integer) -> Int64[Indices, "size"]:
        """The indices of the losses in a group of ties, groups numbered from 0."""
        return self.order[self.starts[number] : self.starts[number + 1]]

    def group_of_rank(self) -> Int64[Indices, "{len(self)}"]:
        """The number of each rank's group, `(n,)`."""
        return np.repeat(np.arange(self.starts.size - 1), np.diff(self.starts))

    def to_input_order(
        self, per_rank: Float64[Array, "{len(self)}"]
    ) -> Float64[Array, "{len(self)}"]:
        """The value of each loss's rank, `(n,)` in the order of the losses."""
        values = np.empty_like(per_rank)
        values[self.order] = per_rank
        return values


def _descending(losses: Shaped[NDArray, "n"]) -> tuple[Int64[Indices, "n"], Shaped[NDArray, "n"]]:
    """The descending order of finite losses, and something that is equal for equal losses, ordered.

    Losses in single precision, most of those that training computes, are sorted with their indices
    in one array of integers, several times faster than indices by losses.
    """
    with np.errstate(over="ignore"):
        single = losses.astype(np.float32) + np.float32(0)  # -0 and 0 are equal
    if losses.size >= 2**32 or not np.array_equal(single, losses):
        order = np.argsort(-losses)
        return order, losses.take(order)
    bits = single.view(np.int32)
    ascending = bits ^ (bits >> 31 & 0x7FFFFFFF)  # negative floats have their bits in reverse
    keys = (~ascending).astype(np.int64) << 32 | np.arange(losses.size)
    keys.sort()
    return keys & 0xFFFFFFFF, keys >> 32
