"""The exact covariance trace of the estimator against one matrix-vector product, on one core."""

from collections.abc import Iterator

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import Ratio, duration, report, seconds
from orderdp_theory import Design, estimator_covariance_trace, surrogate_weights


def ratios() -> Iterator[Ratio]:
    rng = np.random.default_rng(0)
    design = Design.from_ratios(50_000)
    gradients = rng.standard_normal((design.n, 1000))
    losses = rng.exponential(size=design.n)
    weights = surrogate_weights(losses, design)
    for what, array in (("centred", gradients), ("common offset", gradients + 10)):
        ours, product = seconds(
            lambda array=array: estimator_covariance_trace(array, losses, design),
            lambda array=array: weights @ array,
        )
        yield Ratio(
            f"time, n = 50,000, d = 1,000, {what}",
            f"`estimator_covariance_trace` {duration(ours)}",
            f"`weights @ gradients` {duration(product)}",
            ours / product,
            at_most=5,
        )


def main() -> None:
    with threadpool_limits(1, "blas"):
        report(ratios())


if __name__ == "__main__":
    main()
