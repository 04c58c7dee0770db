"""Proposed settings ready to paste: spark-submit flags, a properties file, or the sparkConf of a SparkApplication."""

import shlex
from collections.abc import Sequence

from spark_copilot.rules_engine.findings import Report, Severity


def settings(reports: Sequence[Report]) -> dict[str, str]:
    """Key -> value over all reports, most valuable finding first, then the sizes; each key once. Facts (info) propose nothing."""
    chosen: dict[str, str] = {}
    for report in reports:
        for finding in report.findings:
            if finding.severity is Severity.INFO:
                continue
            for change in finding.changes:
                if change.kind == "conf" and change.to is not None:
                    chosen.setdefault(change.key, change.to)
        for size in report.facts.get("sizing", ()):
            chosen.setdefault(size["key"], size["to"])
    return chosen


def render(reports: Sequence[Report], form: str) -> str:
    """`form`: spark-submit, properties or sparkapplication. A comment alone when nothing is to be set."""
    pairs = settings(reports)
    if not pairs:
        return "# nothing to set: no finding proposes a setting\n"
    if form == "spark-submit":
        return " \\\n".join(f"--conf {shlex.quote(f'{k}={v}')}" for k, v in pairs.items()) + "\n"
    if form == "properties":
        return "".join(f"{k} {v}\n" for k, v in pairs.items())
    return "sparkConf:\n" + "".join(f'  "{k}": "{v}"\n' for k, v in pairs.items())
