"""Settings of all property tests, and the check of shapes in signatures."""

import os

from hypothesis import settings

import tests.shapes

# Modules imported from here on check the arrays that enter and leave them; outside the tests the
# annotations cost nothing.
tests.shapes.install(["orderdp_theory", "orderdp_train"])

# No deadline: a busy machine is not a wrong result. In continuous integration the examples are the
# same every time, so that a failure is the change's own; elsewhere each run tries new ones.
settings.register_profile("orderdp", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("orderdp")
