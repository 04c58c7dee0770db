"""Answers that only a conversation asks for: which runs there are, one finding in full, how sure, what to do about it, what it saves."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from spark_copilot.ml.simulator import Simulator
from spark_copilot.orchestration.chat import compared
from spark_copilot.orchestration.runs import AnalysedRun, KnownRun
from spark_copilot.rag.run_figures import rows_of, stage_figures
from spark_copilot.rag.run_measures import percent
from spark_copilot.rag.run_said import Asked, RunAnswer, change_line, place, said, show_saving
from spark_copilot.rag.run_whole import sure
from spark_copilot.rules_engine.findings import Finding
from spark_copilot.rules_engine.units import show_count, show_ms, show_value

__all__ = ["compared", "detailed", "how_sure", "pick_runs", "run_lines", "saves", "to_fix"]


def pick_runs(question: str, known: Sequence[KnownRun]) -> list[str]:
    """Runs that a question names by handle, or by a name that only one of them bears, in the order named."""
    text = question.lower()
    names = [run.name.lower() for run in known]
    found: list[tuple[int, str]] = []
    for run in known:
        for word in (run.run_id.lower(), run.name.lower() if names.count(run.name.lower()) == 1 and len(run.name) >= 4 else ""):
            match = re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) if word else None
            if match is not None:
                found.append((match.start(), run.run_id))
                break
    return [run_id for _, run_id in sorted(found)]


def run_lines(known: Sequence[KnownRun], most: int = 10) -> list[str]:
    """The runs of a conversation."""
    if not known:
        return ["No run is part of this conversation."]
    lines = [f"{show_count(len(known))} runs, the newest first:"]
    for run in known[:most]:
        began = f"{datetime.fromtimestamp(run.started_ms / 1e3, UTC):%Y-%m-%d %H:%M}" if 0 < run.started_ms < 4e12 else "at an unknown time"
        took = show_ms(run.ended_ms - run.started_ms) if run.ended_ms is not None else "no end in the log"
        lines.append(f"- {run.run_id}: {run.name}, {began} UTC, {took}")
    if len(known) > most:
        lines.append(f"{len(known) - most} more.")
    return lines


def detailed(finding: Finding, analysed: AnalysedRun) -> RunAnswer:
    """One finding: what, why, evidence, the stage's own figures, how the saving was worked out, what to change."""
    run = analysed.run
    lines = [f"{finding.title} ({place(finding)}, {finding.severity.value}, confidence {finding.confidence.value})."]
    if finding.evidence:
        parts = (
            f"{e.metric} {show_value(e.value, e.unit)}"
            + (f" (the rule fires from {show_value(e.limit, e.unit)})" if e.limit is not None else "")
            for e in finding.evidence[:6]
        )
        lines.append("Why: " + "; ".join(parts) + ".")
    elif finding.because:
        lines.append(f"Why: {finding.because.rstrip('.')}.")
    if finding.where.stage_id is not None and (rows := rows_of(run, finding.where.stage_id, finding.where.stage_attempt)):
        stage = stage_figures(run, rows[-1])
        if stage.span_ms and run.wall_ms:
            lines.append(
                f"Stage {stage.ref} took {show_ms(stage.span_ms)}, {percent(stage.span_ms / run.wall_ms)} of the wall clock, in {show_count(stage.tasks_ended)} tasks: "
                f"median {show_ms(stage.task_ms_p50 or 0)}, longest {show_ms(stage.task_ms_max or 0)}."
            )
    if finding.occurrences > 1:
        lines.append(
            f"It occurs {show_count(finding.occurrences)} times"
            + (f", also in stages {', '.join(map(str, finding.also[:6]))}." if finding.also else ".")
        )
    lines += _working(finding, analysed)
    lines += [f"Change: {change_line(change)}" for change in finding.changes[:3]]
    stages = (f"{finding.where.stage_id}.{finding.where.stage_attempt or 0}",) if finding.where.stage_id is not None else ()
    return said("finding", lines, (finding,), stages=stages)


def _working(finding: Finding, analysed: AnalysedRun) -> list[str]:
    if finding.remedy is None or not show_saving(finding.saving):
        return []
    with_it = Simulator(analysed.run).wall_ms((finding.remedy,))
    return [
        f"Replayed with it mended the run takes about {show_ms(with_it)} instead of {show_ms(analysed.run.wall_ms)}: {show_saving(finding.saving)}."
    ]


def how_sure(finding: Finding | None, analysed: AnalysedRun) -> RunAnswer:
    """How far an answer can be trusted: confidence and interval of the finding, the replay's own error, how whole the log is."""
    whole = sure(Asked("how sure are you", analysed.report, analysed.run))
    if finding is None:
        return whole
    lines = [f"{finding.title} ({place(finding)}): confidence {finding.confidence.value}."]
    if show_saving(finding.saving):
        lines.append(f"Its saving is an interval from the replay: {show_saving(finding.saving)}.")
    lines += [line for line in whole.text.split("\n") if not line.startswith("- ")]
    lines.append("A run with the change made is the proof: `spark-copilot compare OLD NEW` says whether the difference is more than noise.")
    return said("sure", lines, (finding,))


def to_fix(finding: Finding) -> RunAnswer:
    """The exact changes for one finding."""
    if not finding.changes:
        return said("changes", [f"The report proposes no change for it: {finding.title} ({place(finding)})."], (finding,))
    lines = [f"For: {finding.title} ({place(finding)})."]
    for number, change in enumerate(finding.changes[:4], 1):
        stop = change.stop_condition.rstrip(".")
        until = stop if stop.lower().startswith(("stop", "undo", "leave")) else f"stop when {stop}"
        lines.append(f"{number}. {change_line(change)} {until[:1].upper()}{until[1:]}.")
    if show_saving(finding.saving):
        lines.append(f"It is {show_saving(finding.saving)}.")
    return said("changes", lines, (finding,))


def saves(finding: Finding, analysed: AnalysedRun) -> RunAnswer:
    """What mending one finding brings."""
    if not show_saving(finding.saving):
        return said(
            "saving", [f"{finding.title} ({place(finding)}): no wall clock can be won by it as far as the replay tells."], (finding,)
        )
    return said("saving", [f"{finding.title} ({place(finding)}): {show_saving(finding.saving)}.", *_working(finding, analysed)], (finding,))
