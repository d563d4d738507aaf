"""Hypothesis strategies shared by the tests: designs with their edges, and awkward losses."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from orderdp_theory import Design


@st.composite
def designs(draw: st.DrawFn, max_n: int = 8, min_n: int = 1) -> Design:
    """Designs with min_n <= n <= max_n; the edges s = n, q = 1, q = s and q = s - 1 are common."""
    n = draw(st.integers(min_n, max_n))
    s = draw(st.integers(1, n) | st.just(n))
    q = draw(st.integers(1, s) | st.sampled_from([1, s, max(s - 1, 1)]))
    return Design(n, s, q)


def losses(n: int) -> st.SearchStrategy[NDArray[np.float64]]:
    """n finite losses: with ties, all equal, of either sign, heavy-tailed, huge or tiny."""
    elements = [
        st.floats(-10, 10, width=32),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
        st.integers(0, 3).map(float),  # ties
        st.floats(0.01, 1).map(lambda u: u**-3),  # a heavy tail
        st.floats(-1e300, 1e300),
        st.sampled_from([0.0, -0.0, 5e-324, 1e-308, -1e-300, 1.0]),
    ]
    vectors = [st.lists(element, min_size=n, max_size=n) for element in elements]
    constant = st.floats(-1e3, 1e3).map(lambda value: [value] * n)
    return st.one_of(*vectors, constant).map(np.array)
