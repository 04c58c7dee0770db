"""Two runs in a conversation: which two a question means, and what the comparison says."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from spark_copilot.orchestration.compare import compare
from spark_copilot.orchestration.runs import AnalysedRun, KnownRun
from spark_copilot.rag.run_said import RunAnswer
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rules_engine.findings import normalised
from spark_copilot.rules_engine.redact import redact_settings
from spark_copilot.rules_engine.units import show_ms

_VERDICTS = {
    "same": "The same, within noise",
    "better": "The later run is faster",
    "worse": "The later run is slower",
    "cannot-tell": "It cannot be told which is better, since one of the logs is not whole",
}


def pair(question: str, known: Sequence[KnownRun], named: Sequence[str], run_id: str | None) -> tuple[str, str] | None:
    """(baseline, candidate): the earlier run first. Runs named in the question, else the one in focus and the one the question means."""
    by_id = {run.run_id: run for run in known}
    if len(known) < 2:
        return None
    if len(named) >= 2:
        return _in_time(by_id[named[0]], by_id[named[1]])
    here = by_id.get(named[0] if named and run_id is None else run_id or "") or known[0]
    others = [run for run in known if run.run_id != here.run_id]
    if named and named[0] != here.run_id:
        return _in_time(by_id[named[0]], here)
    if re.search(r"\byesterday|last night", question.lower()):
        day = datetime.fromtimestamp(here.started_ms / 1e3, UTC).date() - timedelta(days=1)
        same_day = [run for run in others if datetime.fromtimestamp(run.started_ms / 1e3, UTC).date() == day]
        others = same_day or others
    same_job = [run for run in others if normalised(run.name) == normalised(here.name)]
    pool = same_job or others
    earlier = [run for run in pool if run.started_ms <= here.started_ms]
    other = max(earlier, key=lambda run: run.started_ms) if earlier else min(pool, key=lambda run: run.started_ms)
    return _in_time(other, here)


def _in_time(a: KnownRun, b: KnownRun) -> tuple[str, str]:
    return (a.run_id, b.run_id) if a.started_ms <= b.started_ms else (b.run_id, a.run_id)


def answer(baseline: AnalysedRun, candidate: AnalysedRun, *, long: bool = False) -> RunAnswer:
    """What changed, ranked by its part of the difference."""
    made = compare(baseline.run, candidate.run)
    delta = made.candidate.wall_ms - made.baseline.wall_ms
    names = [from_log(side.run.app.name or side.run_id, 60) for side in (baseline, candidate)]
    lines = [
        f"{_VERDICTS[made.verdict]}: {names[0]} ({baseline.run_id}) took {show_ms(made.baseline.wall_ms)}, {names[1]} ({candidate.run_id}) took "
        f"{show_ms(made.candidate.wall_ms)}, {show_ms(abs(delta))} {'more' if delta >= 0 else 'less'}; differences up to {show_ms(made.noise_ms)} are noise."
    ]
    lines += [
        f"- {'+' if part.delta_ms >= 0 else '-'}{show_ms(abs(part.delta_ms))} {from_log(part.what, 120)}: {from_log(part.because, 120)}."
        for part in made.contributions[: 10 if long else 4]
    ]
    shown = made.settings[: 12 if long else 4]
    if shown:
        lines.append("Settings that differ:")
        for row in shown:
            before, after = (
                from_log(redact_settings({row.key: v})[row.key], 60) if v is not None else "(not set)" for v in (row.from_, row.to)
            )
            lines.append(f"- `{from_log(row.key, 120)}`: {before} -> {after}")
        if len(made.settings) > len(shown):
            lines.append(f"{len(made.settings) - len(shown)} more settings differ.")
    else:
        lines.append("No setting differs.")
    stages = tuple(dict.fromkeys(m[1] for part in made.contributions if (m := re.match(r"stage (\d+\.\d+)", part.what)) is not None))
    return RunAnswer("compare", "\n".join(lines), (), (), stages)
