"""What runs: one explicit tuple, in the order of the report's families."""

from spark_copilot.rules_engine.rule import AnyRule

RULES: tuple[AnyRule, ...] = ()
