"""`explain CODE`: a rule's page. `explain KEY --log LOG`: the working of one finding of a run."""

from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError

if TYPE_CHECKING:
    from spark_copilot.orchestration.explain import Explanation


def command(
    code: Annotated[
        str, typer.Argument(help="A finding's code (data-skew, SG101); with --log the key of a finding of that run, or its code.")
    ],
    log: Annotated[str | None, typer.Option("--log", help="An event log: show how the finding came about in it.")] = None,
    output_format: Annotated[str, typer.Option("--format", help="text or json; json needs --log.")] = "text",
) -> None:
    """What the rule sees, why it costs, what to do, and where it is blind; with --log the inputs, the formula, and the stages before and after under replay."""
    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    if log is None:
        if output_format != "text":
            raise UsageError("a rule's page is text", hint="with --log LOG the working of a finding can be json")
        typer.echo(_page(code))
        return
    from spark_copilot.orchestration.analyse import read
    from spark_copilot.orchestration.explain import explain_finding

    found = explain_finding(read(log), code)
    typer.echo(found.model_dump_json(by_alias=True) if output_format == "json" else "\n".join(_lines(found)))


def _page(code: str) -> str:
    from spark_copilot.rules_engine.catalog import RULES, rule_of
    from spark_copilot.rules_engine.gate import page_of
    from spark_copilot.rules_engine.record import records

    rule = rule_of(code)
    if rule is None:
        page = page_of(code)
        if page is None:
            raise UsageError(f"no rule has the code {code!r}", hint="known: " + ", ".join(r.code for r in RULES))
        return page
    measured = records().get(code)
    return rule.page + (f"\nMeasured: {measured.sentence()} (docs/accuracy.md).\n" if measured else "")


def _lines(found: "Explanation") -> list[str]:
    from spark_copilot.app.report.plain import shown
    from spark_copilot.app.report.text import order, place_of
    from spark_copilot.rules_engine.units import show_ms, show_value

    f = found.finding
    lines = [f"{f.title}  ({f.key})", f"where: {place_of(f)}", "", "inputs:"]
    for e in f.evidence:
        limit = f", limit {show_value(e.limit, e.unit)}" if e.limit is not None else ""
        lines.append(f"  {e.metric}: {show_value(e.value, e.unit)}{limit}")
    lines += ["", f"formula: {found.formula}"]
    if found.stages:
        lines += ["", f"{'stage':>8} {'tasks':>13} {'median task':>12} {'longest':>10} {'stage':>10} {'after':>10}"]
        for s in found.stages:
            tasks = str(s.tasks) if s.tasks == s.tasks_after else f"{s.tasks} -> {s.tasks_after}"
            lines.append(
                f"{s.stage:>8} {tasks:>13} {show_ms(s.median_ms):>12} {show_ms(s.longest_ms):>10} {show_ms(s.span_ms):>10} {show_ms(s.span_after_ms):>10}"
            )
    if f.saving is not None:
        wall = f.saving.wall_ms
        lines += ["", f"the run: {show_ms(found.wall_ms)}, under the remedy {show_ms(found.wall_after_ms)}"]
        lines.append(
            f"worth {show_ms(wall.mid)}, between {show_ms(wall.low)} and {show_ms(wall.high)}; severity {f.severity.value}, confidence {f.confidence.value}"
        )
    lines += ["", *(f"do: {order(change)}" for change in f.changes)]
    if f.changes:
        lines.append(f"until: {shown(f.changes[0].stop_condition)}")
    lines.append(f"measured: {found.record}" if found.record else "measured: not yet, on runs with known faults")
    lines.append(f"replay it with others: spark-copilot whatif LOG --apply '{f.key}'")
    return lines
