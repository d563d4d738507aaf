"""Settings of all property tests."""

import os

from hypothesis import settings

# No deadline: a busy machine is not a wrong result. In continuous integration the examples are the
# same every time, so that a failure is the change's own; elsewhere each run tries new ones.
settings.register_profile("orderdp", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("orderdp")
