"""What a test may say of time.

The machine of a test run may be any number of times slower than a quiet one, and busy besides. So a bound that a user cares about is
held where somebody asked for it on a quiet machine (`make faults`); everywhere else it only tells what is slow from what never ends.
"""

import os

COUNTED = os.environ.get("SPARK_COPILOT_TIMINGS") == "1"
PATIENCE = 1 if COUNTED else 20
"""Quadratic time, or a wait for what never comes, is far beyond twenty times any bound here."""
WAIT_SECONDS = 40.0 if COUNTED else 120.0


def below(taken: float, bound: float) -> bool:
    """Whether it took less than that, with the patience of this run; in the unit of both."""
    return taken < PATIENCE * bound
