"""`compare A B`: where the difference of two runs comes from, and whether it is more than noise."""

from typing import Annotated

import typer

from spark_copilot.app.cli.output import write_whole
from spark_copilot.rules_engine.errors import UsageError


def command(
    baseline: Annotated[str, typer.Argument(help="The event log to compare with.")],
    candidate: Annotated[str, typer.Argument(help="The event log to judge.")],
    baselines: Annotated[
        list[str] | None, typer.Option("--baseline", help="Further logs of the baseline's job: they sharpen the noise; may be repeated.")
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Stages are matched by what they do, never by id; the contributions add up to the whole difference."""
    from spark_copilot.app.cli.logs import runs_of
    from spark_copilot.app.report.plain import shown
    from spark_copilot.orchestration.compare import compare
    from spark_copilot.rules_engine.units import show_ms

    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    more = [run for log in baselines or [] for run in runs_of(log)]
    answer = compare(runs_of(baseline)[0], runs_of(candidate)[0], more_baselines=more)
    if output_format == "json":
        write_whole(answer.model_dump_json(by_alias=True) + "\n", None)
        return
    words = {
        "same": "the same, within noise",
        "better": "better",
        "worse": "worse",
        "cannot-tell": "cannot tell: one of the logs is not whole",
    }
    delta = answer.candidate.wall_ms - answer.baseline.wall_ms
    lines = [
        f"{words[answer.verdict]}: {show_ms(answer.baseline.wall_ms)} -> {show_ms(answer.candidate.wall_ms)} ({'+' if delta >= 0 else '-'}{show_ms(abs(delta))}; noise {show_ms(answer.noise_ms)})",
        "",
    ]
    lines += [
        f"{'+' if c.delta_ms >= 0 else '-'}{show_ms(abs(c.delta_ms)):>9}  {shown(c.what)}: {shown(c.because)}"
        for c in answer.contributions[:15]
    ]
    if answer.settings:
        lines += ["", "settings that differ:"]
        lines += [
            shown(f"  {s.key}: {s.from_ if s.from_ is not None else '(not set)'} -> {s.to if s.to is not None else '(not set)'}")
            for s in answer.settings
        ]
    write_whole("\n".join(lines) + "\n", None)
