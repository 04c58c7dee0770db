"""The final state put into the report: identity, quality, verdict, findings, and what was looked at in vain."""

import re

from spark_copilot.agents.state import State
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import ApplicationInfo, DataQuality, Finding, Recommendation, Report, Severity
from spark_copilot.rules_engine.platform import platform
from spark_copilot.rules_engine.units import show_ms

_FOLDED = re.compile(
    r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d{4}[-_/.]?\d{2}[-_/.]?\d{2}(?:[T_ -]?\d{2}[:_-]?\d{2}(?:[:_-]?\d{2})?)?Z?|\d+"
)


def build_report(run: AppRun, state: State) -> Report:
    """One application's report. Deterministic: lists that agents appended side by side are sorted."""
    findings = tuple(state.get("findings", []))
    plan = tuple(state.get("recommendations", []))
    found = {f.code for f in findings}
    return Report(
        application=application(run),
        data_quality=quality(run),
        verdict=verdict(run, findings, plan, state),
        findings=findings,
        passed=tuple(sorted(c for c in set(state.get("ran", [])) if c not in found)),
        not_computable=tuple(sorted(state.get("not_computable", []), key=lambda n: n.code)),
        failed=tuple(sorted(state.get("failed", []), key=lambda f: f.code)),
        facts=dict(sorted(state.get("facts", {}).items())),
        plan=plan,
        prediction=state.get("expected"),
        cost=state.get("money"),
    )


def application(run: AppRun) -> ApplicationInfo:
    """Identity of the run as the report states it."""
    return ApplicationInfo(
        id=run.app.id,
        attempt=run.app.attempt,
        name=run.app.name,
        job=job_name(run.app.name),
        spark_version=run.app.spark_version,
        platform=platform(run),
        started_ms=run.started_ms,
        ended_ms=run.ended_ms,
        duration_ms=run.wall_ms,
        complete=run.complete,
        executors_max=run.executors_max,
        cores_max=run.slots_max * run.task_cpus,
    )


def job_name(name: str) -> str:
    """The application's name with dates, numbers and uuids folded away: the same for every run of a job."""
    folded = re.sub(r"[\s_\-.:/]+", "-", _FOLDED.sub("", name)).strip("-").lower()
    return folded or name.strip().lower()


def quality(run: AppRun) -> DataQuality:
    """How whole the log was."""
    q = run.quality
    partial = not run.complete or q.truncated or q.bad_lines or q.missing_task_ends
    return DataQuality(
        status="compacted" if q.compacted else "partial" if partial else "complete",
        bad_lines=q.bad_lines,
        missing_task_ends=q.missing_task_ends,
        reasons=q.issues,
    )


def verdict(run: AppRun, findings: tuple[Finding, ...], plan: tuple[Recommendation, ...], state: State) -> str:
    """One sentence: how long, what can come back, by how many changes; a healthy run says why it is called so."""
    took = show_ms(run.wall_ms)
    if not len(run.tasks):
        return f"{took}; no task ran, so there is nothing to judge but the settings."
    steps = [r for r in plan if r.saving is not None and r.saving.wall_ms.mid > 0]
    mid = sum(r.saving.wall_ms.mid for r in steps if r.saving)
    if steps and mid >= 0.03 * run.wall_ms:
        low = sum(r.saving.wall_ms.low for r in steps if r.saving)
        high = min(sum(r.saving.wall_ms.high for r in steps if r.saving), run.wall_ms)
        changes = "one change does it" if len(steps) == 1 else f"{_number(len(steps))} changes do it"
        return f"{took}; {show_ms(mid)} can come back, between {show_ms(low)} and {show_ms(high)}; {changes}.{_warning(findings)}"
    if any(f.severity.rank <= Severity.MEDIUM.rank for f in findings):
        return f"{took}; little time to win, but something to mend:{_warning(findings) or ' see the findings.'}"
    clock = state.get("facts", {}).get("wall_clock", {})
    share = 100 * clock.get("executors_ms", 0) / max(run.wall_ms, 1)
    core = state.get("facts", {}).get("core_ms", {})
    lost = "nothing failed" if not core.get("failed") else "few tasks failed"
    small = "" if not findings else f"; {_number(len(findings))} small remark{'s' if len(findings) > 1 else ''}"
    return (
        f"{took}; healthy: tasks ran for {share:.0f} % of it, no stage waited for one task, nothing spilled that cost time, {lost}{small}."
    )


def _warning(findings: tuple[Finding, ...]) -> str:
    grave = [
        f
        for f in findings
        if f.code in ("job-failed", "out-of-memory", "executor-lost", "task-failures", "stage-retries")
        and f.severity.rank <= Severity.MEDIUM.rank
    ]
    return f" {grave[0].title}." if grave else ""


def _number(n: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[n] if n < len(words) else str(n)
