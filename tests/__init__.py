"""The test suite. Importable so that mypy checks it and generators (`python -m tests.docs`) can run from it."""
