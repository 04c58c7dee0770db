"""`whatif`: the run under other sizes, settings, or with findings mended."""

from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.app.cli.output import write_whole
from spark_copilot.rules_engine.errors import UsageError

if TYPE_CHECKING:
    from spark_copilot.orchestration.whatif import WhatIf


def command(
    log: Annotated[str, typer.Argument(help="An event log.")],
    executors: Annotated[str, typer.Option(help="Sizes to replay, for example 1,2,4,8.")] = "",
    cores: Annotated[int | None, typer.Option(help="Cores per executor; default as recorded.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting as key=value; may be repeated.")] = None,
    apply: Annotated[list[str] | None, typer.Option("--apply", help="The key of a finding to mend; may be repeated.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Name the smallest size that ends in time, for example 30m.")] = None,
    budget: Annotated[float | None, typer.Option(help="Name the fastest size that stays within this much money; needs --pricing.")] = None,
    pricing: Annotated[
        str | None, typer.Option(help="A price list, NAME, NAME:MACHINE or FILE (docs/cost.md); default: SPARK_COPILOT_PRICING.")
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Replays the recorded tasks; says where it cannot reason."""
    from spark_copilot.app.cli.logs import runs_of
    from spark_copilot.app.config import load
    from spark_copilot.orchestration.whatif import what_if
    from spark_copilot.rules_engine.units import parse_ms

    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    limit = None if deadline is None else parse_ms(deadline, "m")
    if deadline is not None and limit is None:
        raise UsageError(f"not a duration: {deadline}", hint="for example 30m or 90s")
    answer = what_if(
        runs_of(log)[0],
        executors=_sizes(executors),
        cores=cores,
        settings=_pairs(settings or []),
        apply=apply or [],
        pricing=pricing or load().pricing,
        deadline_ms=limit,
        budget=budget,
    )
    if output_format == "json":
        write_whole(answer.model_dump_json(by_alias=True) + "\n", None)
        return
    write_whole("\n".join(_lines(answer, deadline, budget)) + "\n", None)


def _lines(answer: "WhatIf", deadline: str | None, budget: float | None) -> list[str]:
    from spark_copilot.rules_engine.units import show_money, show_ms

    seen = answer.observed
    money = any(p.cost is not None for p in answer.points)
    lines = [
        f"recorded: {seen.executors} x {seen.cores_per_executor} cores, {show_ms(seen.wall_ms)}; replayed within {100 * answer.replay.error_ratio:.1f} %",
        "",
        f"{'executors':>10}  {'cores':>5}  {'wall clock':>12}   {'between':<22}" + ("  cost" if money else ""),
    ]
    for point in answer.points:
        wall, cost = point.wall_ms, point.cost
        span = f"{show_ms(wall.low)} and {show_ms(wall.high)}"
        paid = (
            f"  {show_money(cost.mid, cost.currency)}, between {show_money(cost.low, cost.currency)} and {show_money(cost.high, cost.currency)}"
            if cost
            else ""
        )
        lines.append(f"{point.executors:>10}  {point.cores_per_executor:>5}  {show_ms(wall.mid):>12}   {span:<22}{paid}".rstrip())
    lines.append("")
    best = [
        (p.executors, note) for p in answer.points for note in p.notes if note.startswith("the ") and " asked size that surely " in note
    ]
    lines += [f"{n} executor{'s' if n > 1 else ''}: {note}" for n, note in best]
    said = {note for _, note in best}
    lines += list(dict.fromkeys(f"note: {note}" for point in answer.points for note in point.notes if note not in said))
    if answer.knee is not None:
        lines.append(f"beyond {answer.knee.executors} executors more bring little")
    if deadline is not None and not any("surely ends" in note for note in said):
        lines.append(f"no asked size surely ends in {deadline}")
    if budget is not None and not any("surely costs" in note for note in said):
        lines.append(f"no asked size surely stays within {budget:g}")
    if answer.cannot_reason_about:
        lines.append("the replay cannot reason about: " + ", ".join(answer.cannot_reason_about))
    return lines


def _sizes(text: str) -> list[int]:
    parts = [p.strip() for p in text.split(",") if p.strip()]
    if not all(p.isdigit() and int(p) > 0 for p in parts):
        raise UsageError(f"not a list of sizes: {text!r}", hint="for example --executors 1,2,4")
    return [int(p) for p in parts]


def _pairs(texts: list[str]) -> dict[str, str]:
    for text in texts:
        if "=" not in text:
            raise UsageError(f"not key=value: {text!r}")
    return dict(text.split("=", 1) for text in texts)
