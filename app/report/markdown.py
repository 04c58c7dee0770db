"""The report as Markdown, for tickets and pull requests."""

import re

from spark_copilot.app.report.connect import connect_lines, connect_summary
from spark_copilot.app.report.plain import shown
from spark_copilot.app.report.steps import steps, stop_after
from spark_copilot.app.report.text import copyable, cost_line, order, place_of, prediction_line, record_of, saving_of
from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.units import show_ms

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")


def escaped(text: str) -> str:
    """Text of a log that no Markdown reader takes for markup or a link."""
    return _SPECIAL.sub(r"\\\1", shown(text))


def render(report: Report) -> str:
    """The whole report."""
    a = report.application
    lines = [
        f"# {escaped(a.name)}",
        "",
        f"`{shown(a.id).replace('`', '')}` · Spark {escaped(a.spark_version)} · {a.platform} · {a.cores_max} cores",
        "",
        f"**{escaped(report.verdict)}**",
        "",
    ]
    clock = report.facts.get("wall_clock", {})
    if clock:
        names = {"startup_ms": "start-up", "executors_ms": "tasks running", "driver_ms": "driver alone", "waiting_ms": "waiting"}
        lines += ["| where the time went | | |", "|---|---|---|"]
        lines += [f"| {names[k]} | {show_ms(v)} | {100 * v / max(a.duration_ms, 1):.0f} % |" for k, v in clock.items() if v]
        lines.append("")
    if report.cost is not None:
        lines += [cost_line(report.cost), ""]
    if report.prediction is not None:
        lines += [escaped(prediction_line(report.prediction)), ""]
    if report.data_quality.status != "complete":
        lines += [f"The log is {report.data_quality.status}: {escaped('; '.join(report.data_quality.reasons[:5]))}", ""]
    for number, finding in enumerate(report.findings, 1):
        lines += [
            f"## {number}. {escaped(finding.title)}",
            "",
            f"`{finding.code}` · **{finding.severity.value}** · confidence {finding.confidence.value}",
            "",
        ]
        lines += [
            f"- where: {escaped(place_of(finding))}",
            f"- why: {escaped(finding.because)}",
            f"- worth: {saving_of(finding.saving, a.duration_ms)}",
        ]
        lines += [f"- do: {escaped(order(change))}" for change in finding.changes]
        if finding.changes:
            lines.append(f"- until: {escaped(finding.changes[0].stop_condition)}")
        measured = record_of(finding, report)
        if measured:
            lines.append(f"- record: {measured}")
        lines.append("")
    if summary := connect_summary(report):
        lines += ["## Operations", "", f"{escaped(summary)}.", "", *(f"- {escaped(line)}" for line in connect_lines(report)), ""]
    plan = steps(report)
    if len(plan) > 1:
        lines += ["## In this order", "", *(f"{n}. {escaped(step.text)} *{step.after}*" for n, step in enumerate(plan, 1)), ""]
        stop = stop_after(plan)
        lines += [f"{stop[:1].upper()}{stop[1:]}.", ""] if stop else []
    settings = copyable(report)
    if settings:
        lines += ["## Settings to copy", "", "```", *(shown(s).replace("```", "") for s in settings), "```", ""]
    lines.append(f"Looked at and found nothing: {', '.join(report.passed) or 'none'}.")
    lines += [f"Could not look: {n.code} ({escaped(n.reason)})." for n in report.not_computable]
    return "\n".join(lines) + "\n"
