"""The gate: settings with the place they stand in, the catalog of Spark's keys per version, and the rules on them."""

from spark_copilot.rules_engine.gate.pages import page_of

__all__ = ["page_of"]
