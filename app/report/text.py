"""The report for a terminal: the verdict first, then findings with place, numbers, saving and the exact change, last a block of settings to copy."""

from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from spark_copilot.app.report.connect import connect_lines, connect_summary
from spark_copilot.app.report.plain import shown
from spark_copilot.app.report.steps import Step, steps, stop_after
from spark_copilot.rules_engine.findings import Change, CostReport, Finding, Prediction, Report, Saving, Severity
from spark_copilot.rules_engine.record import Record
from spark_copilot.rules_engine.units import show_money, show_ms

WIDTH = 100

_COLOURS = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan", Severity.INFO: "dim"}


def render(report: Report, *, colour: bool, width: int = WIDTH) -> str:
    """The whole report as text of at most `width` columns; ANSI colours when `colour`."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False, soft_wrap=False)
    console.print(_report(report))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _report(report: Report) -> Group:
    parts: list[RenderableType] = [_heading(report), Text(""), Text(shown(report.verdict), style="bold"), Text("")]
    parts += [_clock(report), Text("")]
    if report.data_quality.status != "complete":
        parts += [_quality(report), Text("")]
    for number, finding in enumerate(report.findings, 1):
        parts += [_finding(number, finding, report), Text("")]
    if summary := connect_summary(report):
        parts += [Line("operations", align="left", style="dim"), Text("\n".join([summary, *connect_lines(report)])), Text("")]
    plan = steps(report)
    if len(plan) > 1:
        parts += [Line("in this order", align="left", style="dim"), Text("\n".join(_plan(plan))), Text("")]
    sizes = report.facts.get("sizing", [])
    if sizes:
        parts += [Line("sizes for the next run", align="left", style="dim"), Text("\n".join(_sizes(sizes))), Text("")]
    settings = copyable(report)
    if settings:
        parts += [Line("settings to copy", align="left", style="dim"), Text("\n".join(settings)), Text("")]
    parts.append(_looked(report))
    return Group(*parts)


def _plan(made: list[Step]) -> list[str]:
    lines = [f"{n}. {shown(step.text)}\n   {step.after}" for n, step in enumerate(made, 1)]
    stop = stop_after(made)
    return [*lines, stop] if stop else lines


def _sizes(sizes: list[dict[str, str]]) -> list[str]:
    return [shown(f"{s['key']}={s['to']} (now {s['from'] if s['from'] is not None else 'the default'}): {s['because']}") for s in sizes]


def _heading(report: Report) -> Text:
    a = report.application
    size = f"{a.executors_max} executor{'s' if a.executors_max != 1 else ''}, {a.cores_max} core{'s' if a.cores_max != 1 else ''}"
    if a.platform == "local":
        size = f"local, {a.cores_max} core{'s' if a.cores_max != 1 else ''}"
    attempt = f", attempt {a.attempt}" if a.attempt else ""
    return Text.assemble((shown(a.name), "bold"), f"  {shown(a.id)}{attempt}\n", (f"Spark {shown(a.spark_version)}, {size}", "dim"))


def _clock(report: Report) -> Text:
    clock = report.facts.get("wall_clock", {})
    total = max(report.application.duration_ms, 1)
    names = (("startup_ms", "start-up"), ("executors_ms", "tasks running"), ("driver_ms", "driver alone"), ("waiting_ms", "waiting"))
    parts = [f"{name} {show_ms(clock[key])} ({100 * clock[key] / total:.0f} %)" for key, name in names if clock.get(key)]
    core = report.facts.get("core_ms", {})
    held = sum(core.values()) if core else 0
    line = "where the time went: " + ", ".join(parts) if parts else "no task ran"
    if held:
        line += f"\ncore time: {100 * core['used'] / held:.0f} % used, {100 * core['idle'] / held:.0f} % idle, {100 * core['failed'] / held:.0f} % lost"
    if report.cost is not None:
        line += f"\n{cost_line(report.cost)}"
    if report.prediction is not None:
        line += f"\n{prediction_line(report.prediction)}"
    return Text(line)


def cost_line(cost: CostReport) -> str:
    """What the run cost and what of it bought nothing, in one line."""
    parts = [f"{name} {100 * value / max(cost.total, 1e-12):.0f} %" for name, value in cost.by.items() if value > 0]
    return f"cost: {show_money(cost.total, cost.currency)} at prices of {cost.price_date}, {show_money(cost.wasted, cost.currency)} of it for nothing ({', '.join(parts)})"


def prediction_line(prediction: Prediction) -> str:
    """What earlier runs of the job expect, and how this one stands to it, in one line."""
    wall = prediction.wall_ms
    said = f"; this run is {prediction.drift}" if prediction.drift else ""
    runs = f"{prediction.runs_used} earlier runs of the job"
    return f"expected by {runs}: {show_ms(wall.mid)}, between {show_ms(wall.low)} and {show_ms(wall.high)}{said}"


def _quality(report: Report) -> Text:
    reasons = "; ".join(shown(r) for r in report.data_quality.reasons[:5]) or "no application end in the log"
    return Text(f"the log is {report.data_quality.status}: {reasons}", style="yellow")


def place_of(finding: Finding) -> str:
    """Where, in words: call site, stage, SQL execution, executor, table."""
    w = finding.where
    parts = []
    if w.call_site:
        parts.append(w.call_site)
    elif w.sql_description:
        parts.append(w.sql_description)
    if w.stage_id is not None:
        parts.append(f"stage {w.stage_id}" + (f" attempt {w.stage_attempt}" if w.stage_attempt else ""))
    if w.sql_id is not None:
        parts.append(f"SQL {w.sql_id}" + (f" node {w.node_id}" if w.node_id is not None else ""))
    if w.executor_id is not None:
        parts.append(f"executor {w.executor_id}")
    if w.table:
        parts.append(f"table {w.table}")
    if w.setting:
        parts.append(w.setting)
    if finding.occurrences > 1:
        parts.append(f"{finding.occurrences} times")
    return shown(", ".join(parts) or "the whole application")


def saving_of(saving: Saving | None, duration_ms: int) -> str:
    """What it is worth, in words."""
    if saving is None:
        return "no time of its own"
    wall = saving.wall_ms
    if wall.mid <= 0:
        money = f"; {show_money(saving.cost.mid, saving.cost.currency)}" if saving.cost is not None else ""
        return f"no wall clock; {show_ms(saving.core_ms.mid)} of core time{money}"
    text = f"{show_ms(wall.mid)} ({100 * wall.mid / max(duration_ms, 1):.0f} %), between {show_ms(wall.low)} and {show_ms(wall.high)}"
    if saving.cost is not None:
        text += f"; {show_money(saving.cost.mid, saving.cost.currency)}"
    return text


def _finding(number: int, finding: Finding, report: Report) -> Group:
    duration_ms = report.application.duration_ms
    head = Text.assemble(f"{number}. ", (finding.severity.value, _COLOURS[finding.severity]), f"  {finding.title}  ", (finding.code, "dim"))
    rows = [
        ("where", place_of(finding)),
        ("why", shown(finding.because)),
        ("worth", f"{saving_of(finding.saving, duration_ms)}; confidence {finding.confidence.value}"),
    ]
    rows += [("do" if i == 0 else "", order(change)) for i, change in enumerate(finding.changes)]
    if finding.changes:
        rows.append(("until", finding.changes[0].stop_condition))
    measured = record_of(finding, report)
    if measured:
        rows.append(("record", measured))
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=6, style="dim")
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, Text(text))
    return Group(head, Padding(grid, (0, 0, 0, 3)))


def record_of(finding: Finding, report: Report) -> str:
    """How the finding's code fared when it was measured, in words; empty where it never was."""
    entry = report.facts.get("record", {}).get(finding.code)
    return Record(**entry).sentence() if entry else ""


def order(change: Change) -> str:
    """One change as an instruction."""
    if change.kind == "conf" and change.to is not None:
        before = f", now {change.from_}" if change.from_ is not None else ""
        return shown(f"set {change.key}={change.to} ({change.text}{before})")
    return shown(change.text + (f": {change.to}" if change.to else ""))


def copyable(report: Report) -> list[str]:
    """Settings of all findings, ready for spark-submit, most valuable first; each key once."""
    chosen: dict[str, str] = {}
    for finding in report.findings:
        for change in finding.changes:
            if change.kind == "conf" and change.to is not None and finding.severity is not Severity.INFO:
                chosen.setdefault(change.key, change.to)
    return [f"--conf {key}={value}" for key, value in chosen.items()]


def _looked(report: Report) -> Text:
    lines = [f"looked at and found nothing: {', '.join(report.passed)}"] if report.passed else []
    if report.not_computable:
        lines.append("could not look: " + "; ".join(f"{n.code} ({shown(n.reason)})" for n in report.not_computable))
    if report.failed:
        lines.append("broke: " + "; ".join(f"{f.code} ({shown(f.error)})" for f in report.failed))
    return Text("\n".join(lines), style="dim")
