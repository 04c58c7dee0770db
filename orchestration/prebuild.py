"""`python -m spark_copilot.orchestration.prebuild`: make the vectors of everything that ships again: cards, keys, the rules' pages."""

import sys

from spark_copilot.orchestration.ask import rule_pages
from spark_copilot.rag.knowledge import VECTORS
from spark_copilot.rag.prebuild import build


def main() -> None:
    """Build and say what was done."""
    total, made = build(rule_pages())
    sys.stdout.write(f"{VECTORS.name}: {total} vectors, {made} of them made now, {VECTORS.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
