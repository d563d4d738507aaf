"""Settings of all property tests, and the check of shapes in signatures."""

import os

import pytest
from hypothesis import settings

import tests.shapes

# Modules imported from here on check the arrays that enter and leave them; outside the tests the
# annotations cost nothing.
tests.shapes.install(["orderdp_theory", "orderdp_train"])

# No deadline: a busy machine is not a wrong result. In continuous integration the examples are the
# same every time, so that a failure is the change's own; elsewhere each run tries new ones.
settings.register_profile("orderdp", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("orderdp")


@pytest.fixture(scope="module")
def one_thread():
    """Sums in one order: what is compared to the bit must not depend on the number of cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
