"""The arrays of signatures; their shapes are written there and checked at run time in the tests.

`Float64[Array, "{design.n}"]` is an array of float64 as long as the argument `design` says
(jaxtyping's notation). Inputs that may be lists are `ArrayLike` and checked by the function.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
