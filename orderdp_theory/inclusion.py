"""Inclusion probabilities of a design in double precision, at the speed of memory."""

import numpy as np
from jaxtyping import Float64

from orderdp_theory import _double_double as dd
from orderdp_theory._window import window
from orderdp_theory.arguments import checked, require_population
from orderdp_theory.common.arrays import Array
from orderdp_theory.design import Design

_ROWS, _CHUNK = 16, 2**15  # double-double vectors of length _CHUNK / _ROWS stay in the cache


@checked
def inclusion_probabilities(design: Design) -> Float64[Array, "{design.n}"]:
    """gamma_j = P(the sample of rank j is kept), float64 `(n,)`; rank 1 has the largest loss.

    gamma_j = sum_{l=1..q} C(j-1, l-1) C(n-j, s-l) / C(n, s) (Eq. 3). The sequence is
    non-increasing, exactly float(s/n) at j <= q and exactly zero at j > n - s + q. Every value
    >= 1e-290 has a relative error of at most 1.3e-15, so the sum is q to 1.3e-15 as well; smaller
    values may be rounded to zero. Needs the memory of the output plus 10 %. `ValueError` for
    n >= 2^27, `TypeError` for what is not a `Design`.

    Method. A candidate of rank j is kept if the q-th best of the other s - 1 candidates ranks
    behind it. So for q < s, gamma is a tail sum of the distribution of that order statistic,

        gamma_j - gamma_{j+1} = p_j = C(j-1, q-1) C(n-j-1, s-q-1) / C(n, s),  q <= j <= n - s + q,

    a negative hypergeometric one. All terms are positive and neighbours have a rational ratio, so
    products of ratios give the terms up to a factor, their sums the tails, and gamma_q = s/n the
    factor: nothing cancels. Products and sums are carried in double-double, which leaves 11
    roundings of float64 (proofs/inclusion.md).

    Example:
        >>> inclusion_probabilities(Design(10, 5, 3)).round(4).tolist()
        [0.5, 0.5, 0.5, 0.4762, 0.4167, 0.3214, 0.2024, 0.0833, 0.0, 0.0]
        >>> design = Design.from_ratios(1_281_167)  # ImageNet
        >>> design.q, float(inclusion_probabilities(design).sum())
        (384349, 384349.0)
    """
    require_population(design.n)
    gamma = np.zeros(design.n)
    _fill(gamma, design, design.s / design.n)
    return gamma


@checked
def joint_inclusion_probabilities(design: Design) -> Float64[Array, "{design.n}"]:
    """pi_k = P(ranks j and k are both kept), the same for every j < k; float64 `(n,)`, pi_1 = 0.

    pi_k = C(n-2, s-2) / C(n, s) * P(Y <= q-2), Y hypergeometric with population n-2, k-2 marked
    and s-2 drawn. In words: if k is kept then so is any candidate j < k; and once j is a candidate
    (probability s/n), k must be kept by the design (n-1, s-1, q-1), in which its rank is k-1.
    Error contract as for `inclusion_probabilities`.

    Example:
        >>> joint = joint_inclusion_probabilities(Design(4, 2, 2))  # pairs at random: 1 of 6
        >>> joint.round(4).tolist()
        [0.0, 0.1667, 0.1667, 0.1667]
    """
    require_population(design.n)
    n, s, q = design.n, design.s, design.q
    joint = np.zeros(n)
    if q > 1:
        both_drawn = s * (s - 1) / (n * (n - 1))
        _fill(joint[1:], Design(n - 1, s - 1, q - 1), both_drawn)
    return joint


def _fill(gamma: Float64[Array, "{design.n}"], design: Design, top: float) -> None:
    """Write the design's inclusion probabilities, times top / (s/n), into an array of zeros."""
    if design.q == design.s:
        gamma[:] = top
        return
    # Terms less than 2^-1024 of the largest are at most 2^-60 of any tail >= 1e-290 gamma_q.
    first, last = window(design, bits_before=64, bits_behind=1024)
    gamma[: first - 1] = top
    tails = gamma[first - 1 : last]
    _fill_terms(tails, design, first)
    _sum_tails(tails)
    tails /= float(tails[0])
    tails *= top
    np.minimum.accumulate(tails, out=tails)


def _fill_terms(terms: Float64[Array, "terms"], design: Design, first: int) -> None:
    """Write p_j for j = first, first + 1, ..., up to a common factor."""
    n, s, q = design.n, design.s, design.q
    last_ratio = first + len(terms) - 2
    carry = np.array([[1.0], [0.0]])
    terms[0] = 1
    for start in range(1, len(terms), _CHUNK):
        part = terms[start : start + _CHUNK]
        columns = -(-len(part) // _ROWS)
        ratios = np.empty((2, _ROWS, columns))
        for row in range(_ROWS):
            j = np.arange(columns, dtype=np.float64) * _ROWS + (first + start - 1 + row)
            np.minimum(j, last_ratio, out=j)  # pads the last block
            ratios[:, row] = dd.quotient(j * (n - s + q - j), (j - (q - 1)) * (n - 1 - j))
        products, carry = dd.scan_blocks(dd.multiply, dd.multiply_rounded, ratios, carry)
        part[:] = products.T.ravel()[: len(part)]


def _sum_tails(terms: Float64[Array, "terms"]) -> None:
    """Replace each of the positive terms by the sum of itself and all later ones."""
    carry = np.zeros((2, 1))
    for stop in range(len(terms), 0, -_CHUNK):
        part = terms[max(stop - _CHUNK, 0) : stop][::-1]
        columns = -(-len(part) // _ROWS)
        padded = np.zeros((2, columns * _ROWS))
        padded[0, : len(part)] = part
        blocks = padded.reshape(2, columns, _ROWS).transpose(0, 2, 1).copy()
        sums, carry = dd.scan_blocks(dd.add, dd.add_rounded, blocks, carry)
        part[:] = sums.T.ravel()[: len(part)]
