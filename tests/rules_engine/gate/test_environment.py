"""A run's own settings under the gate's rules."""

import pytest

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.environment import judge_environment


def test_run_settings_are_judged_without_a_file() -> None:
    found = judge_environment(
        {"spark.master": "yarn", "spark.sql.shuffle.partition": "9", "spark.driver.port": "1", "spark.executor.cores": "16"}, "3.5.1"
    )
    assert [(f.rule, f.key, f.line, f.file) for f in found] == [
        ("SG101", "spark.sql.shuffle.partition", 0, ""),
        ("SG505", "spark.executor.cores", 0, ""),
    ]


def test_a_healthy_run_is_silent() -> None:
    spark = {"spark.master": "local[2]", "spark.app.name": "x", "spark.executor.id": "driver", "spark.eventLog.enabled": "true"}
    assert judge_environment(spark, "4.0.1") == ()


@pytest.mark.parametrize("digits", [61, 400, 5_000])
def test_numbers_beyond_any_machine_are_no_values(digits: int) -> None:
    """What is a number of so many digits cannot be divided, nor always be read."""
    text = "9" * digits
    assert (values.size(text, "B"), values.size(f"-{text}g", "B"), values.duration(f"{text}s", "ms")) == (None, None, None)
