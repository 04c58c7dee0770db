"""The gate's rules by family, and the one tuple that says what runs."""

from spark_copilot.rules_engine.gate.rule import GateRule
from spark_copilot.rules_engine.gate.rules import files, keys, place, platforms, relations, results, secrets, sizing, sql, values

RULES: tuple[GateRule, ...] = (
    *files.RULES,
    *keys.RULES,
    *values.RULES,
    *place.RULES,
    *relations.RULES,
    *sizing.RULES,
    *sql.RULES,
    *results.RULES,
    *secrets.RULES,
    *platforms.RULES,
)
"""Every rule on files, by code."""
