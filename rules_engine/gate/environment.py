"""The gate's rules on the settings a run was really started with: what the analysis shows beside its own findings."""

from collections.abc import Mapping

from spark_copilot.rules_engine.gate.engine import judge
from spark_copilot.rules_engine.gate.finding import GateFinding
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.rules import RULES
from spark_copilot.rules_engine.gate.run_rules import is_volatile
from spark_copilot.rules_engine.gate.setting import Place, Setting
from spark_copilot.rules_engine.gate.target import SparkVersion, Target
from spark_copilot.rules_engine.gate.view import View, kind_of_master

_OF_FILES = ("SG0", "SG3", "SG8", "SG9")
"""Families that speak of where something is written; a log has lost that, and secrets are masked in it."""
_NOT_HERE = frozenset({"SG418", "SG410", "SG412", "SG804", "SG805", "SG210", "SG211"})
"""Rules that the run itself has answered: it did start, and it did write a log."""


def judge_environment(
    spark: Mapping[str, str], spark_version: str, *, platform: str | None = None, java: int | None = None
) -> tuple[GateFinding, ...]:
    """Findings on a run's Spark properties; `file` is empty and `line` 0, `key` names the setting."""
    master = kind_of_master(spark.get("spark.master", ""))
    target = Target(
        spark=SparkVersion.parse(spark_version), platform=platform or master, java=java, role="test" if master == "local" else None
    )
    settings = [
        Setting(key, value, "", 0, None, Place.DEFAULTS, known="redacted" not in value)
        for key, value in spark.items()
        if not is_volatile(key) and not key.endswith("JavaOptions")
    ]
    rules = [r for r in RULES if r.on and not r.code.startswith(_OF_FILES) and r.code not in _NOT_HERE]
    view = View("run", "", "", settings, (), target, catalog())
    return judge(view, rules).findings
