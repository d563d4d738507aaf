"""Where the terms p_j = gamma_j - gamma_{j+1} of a design with q < s are large enough to matter."""

from bisect import bisect_left
from math import lgamma, log

from orderdp_theory.design import Design


def window(design: Design, bits_before: int, bits_behind: int | None = None) -> tuple[int, int]:
    """Ranks first..last around the mode of p_j = C(j-1, q-1) C(n-j-1, s-q-1) / C(n, s).

    Terms increase up to the mode and decrease behind it. Those before `first` are at most
    2^-bits_before / n of the largest term, all together at most 2^-bits_before of it. Those behind
    `last` are at most 2^-bits_behind of it; without `bits_behind`, last = n - s + q, the end of
    the support. `first` never exceeds the mode. The comparison uses float log-gammas, good to
    1e-5 of a bit for n < 2^27.
    """
    n, s, q = design.n, design.s, design.q
    # p_{j+1} >= p_j exactly if j (s - 2) <= (q - 1) (n - 1).
    mode = min((q - 1) * (n - 1) // max(s - 2, 1) + 1, n - s + q)
    mode = max(mode, q)

    def log_term(j: int) -> float:
        return lgamma(j) - lgamma(j - q + 1) + lgamma(n - j) - lgamma(n - j - s + q + 1)

    peak = log_term(mode)
    before = peak - log(n) - bits_before * log(2)
    first = q + bisect_left(range(q, mode), before, key=log_term)
    if bits_behind is None:
        return first, n - s + q
    behind = bits_behind * log(2) - peak
    return first, mode + bisect_left(range(mode, n - s + q), behind, key=lambda j: -log_term(j))
