"""Tests that take minutes: they run by `make faults-long`, not in CI."""

import os

import pytest

from tests.faults.record import LONG

long = pytest.mark.skipif(os.environ.get("SPARK_COPILOT_FAULTS_LONG") != "1", reason=LONG)
