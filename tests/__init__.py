"""The test suite. Importable so that mypy checks it and generators (`python -m tests.docs`) can run from it."""

import os

from spark_copilot.app.threads import ONE_THREAD

os.environ.update(ONE_THREAD)  # before any test imports numpy: two processes of tests share two cores
