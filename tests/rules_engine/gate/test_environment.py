"""A run's own settings under the gate's rules."""

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
