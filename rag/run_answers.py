"""Questions about one run, answered from its report and its facts alone: a route by words, then sentences filled with the run's own numbers.

No number is made here: what is said is a field of the report, a column of the run, or what the question itself named. What an event log cannot
hold is said to be missing, not guessed.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from spark_copilot.rag import run_facts
from spark_copilot.rag.keys import default_in, known
from spark_copilot.rag.run_words import CODE_WORDS, FEATURES, NOT_IN_LOG, ROUTES
from spark_copilot.rag.text import keys_in
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change, Finding, Report, Saving
from spark_copilot.rules_engine.redact import redact_settings
from spark_copilot.rules_engine.units import show_count, show_ms, show_value

WhatIf = Callable[[int], str | None]
"""Executors -> one sentence from the simulator, None when it cannot reason about that."""


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """Text about one run. `findings` are the keys it speaks of, `cards` ids worth reading on, `intent` the route taken."""

    intent: str
    text: str
    findings: tuple[str, ...] = ()
    cards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    question: str
    report: Report
    run: AppRun | None
    what_if: WhatIf | None


_DEFINITION = re.compile(
    r"^\s*(?:what (?:is|are|does|do)|what's|explain|how (?:does|do|can|should) (?:i|we|one|spark|it)|difference between|when should|is it (?:ok|safe))\b",
    re.IGNORECASE,
)
_THIS_RUN = re.compile(
    r"\b(?:this|my|our|the) (?:run|job|app|application|log|pipeline|query|stage)\b|\bhere\b|\bit\b|stage \d|\bin force\b|\bdid\b|\bwas\b|\bwere\b|\btook\b",
    re.IGNORECASE,
)


def answer_about_run(question: str, report: Report, run: AppRun | None = None, *, what_if: WhatIf | None = None) -> RunAnswer | None:
    """The answer, or None when the question is not about this run (then the general knowledge answers)."""
    asked = _Asked(question, report, run, what_if)
    text = question.lower()
    for pattern, words in NOT_IN_LOG:
        if re.search(pattern, text) and not keys_in(question):
            return RunAnswer("not-in-log", f"That is not in the log. An event log does not hold {words}.")
    for named in (_setting, _stage, _executor, _sql):
        made = named(asked)
        if made is not None:
            return made
    general = _DEFINITION.search(question) is not None and _THIS_RUN.search(question) is None
    for route, said in ROUTES:
        if said.search(text) and not (general and route not in _ALWAYS):
            made = _ROUTES[route](asked)
            if made is not None:
                return made
    if not general:
        return _codes(asked)
    found = _codes(asked) if text.lstrip().startswith("how") else None
    return found if found is not None and found.findings else None


def _place(finding: Finding) -> str:
    where = finding.where
    if where.stage_id is not None:
        return f"stage {where.stage_id}"
    if where.sql_id is not None:
        return f"SQL {where.sql_id}"
    if where.executor_id is not None:
        return f"executor {where.executor_id}"
    return where.table or where.setting or "the application"


def show_saving(saving: Saving | None) -> str:
    """What mending it brings, in words; empty when nothing can be won."""
    if saving is None or saving.wall_ms.mid <= 0:
        return ""
    wall = saving.wall_ms
    text = f"worth {show_ms(wall.mid)} of wall clock (between {show_ms(wall.low)} and {show_ms(wall.high)})"
    if saving.cost is not None and saving.cost.mid > 0:
        text += f" and {saving.cost.mid:.2f} {saving.cost.currency}"
    return text


def _describe(finding: Finding, *, changes: int = 1) -> list[str]:
    saving = show_saving(finding.saving)
    first = f"{finding.title} ({_place(finding)}, {finding.severity.value}, confidence {finding.confidence.value})" + (
        f": {saving}." if saving else "."
    )
    lines = [first, finding.because.rstrip(".") + "."] if finding.because else [first]
    return [*lines, *(f"Change: {_change(change)}" for change in finding.changes[:changes])]


def _change(change: Change) -> str:
    if change.kind == "conf" and change.to is not None:
        before = f" (now {change.from_})" if change.from_ is not None else " (now not set)"
        return f"`{change.key}` = {change.to}{before}. {change.text.rstrip('.')}."
    return f"{change.text.rstrip('.')}."


def _said(intent: str, lines: list[str], findings: tuple[Finding, ...] = ()) -> RunAnswer:
    cards = tuple(dict.fromkeys(card for finding in findings for card in finding.sources))
    return RunAnswer(intent, "\n".join(lines), tuple(f.key for f in findings), cards)


def _bottleneck(asked: _Asked) -> RunAnswer:
    report = asked.report
    lines = [report.verdict]
    worth = tuple(f for f in report.findings if f.severity.rank < 4)[:2]
    for finding in worth:
        lines += [f"- {line}" if n == 0 else f"  {line}" for n, line in enumerate(_describe(finding))]
    path = report.facts.get("critical_path")
    if isinstance(path, list | tuple) and path:
        lines.append(f"Critical path: stages {', '.join(str(stage) for stage in path[:8])}.")
    elif asked.run is not None and not worth:
        lines += ["Longest stages:", *run_facts.longest_stage_lines(asked.run)]
    if not worth:
        lines.append(f"{show_count(len(report.passed))} rules looked and saw nothing worth a change.")
    return _said("bottleneck", lines, worth)


def _changes(asked: _Asked) -> RunAnswer:
    report = asked.report
    if not report.plan:
        with_changes = tuple(f for f in report.findings if f.changes)[:3]
        if not with_changes:
            return _said("changes", [report.verdict, "The report proposes no change."])
        return _said("changes", [f"- {_change(f.changes[0])} {show_saving(f.saving)}".rstrip() for f in with_changes], with_changes)
    lines = ["In this order:"]
    keys: list[str] = []
    for number, advice in enumerate(report.plan[:4], 1):
        saving = show_saving(advice.saving)
        lines.append(f"{number}. {advice.text.rstrip('.')}." + (f" It is {saving}." if saving else "") + f" {_stop(advice.stop_condition)}")
        keys += advice.because
    return _said("changes", lines, tuple(f for f in report.findings if f.key in keys))


def _stop(condition: str) -> str:
    plain = condition.strip().rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}." if plain.lower().startswith("stop") else f"Stop when {plain}."


def _cost(asked: _Asked) -> RunAnswer:
    cost = asked.report.cost
    if cost is None:
        core = asked.report.facts.get("core_ms")
        lines = ["What it cost is not in the log: no price list was given. Run `spark-copilot analyze LOG --pricing NAME` for money."]
        if isinstance(core, dict):
            known_ = [f"{name} {show_ms(float(value))}" for name, value in core.items() if isinstance(value, int | float)]
            lines.append(f"Core time: {', '.join(known_)}.")
        return _said("cost", lines)
    by = ", ".join(f"{name} {value:.2f}" for name, value in cost.by.items())
    lines = [
        f"{cost.total:.2f} {cost.currency} at prices of {cost.price_date}, of which {cost.wasted:.2f} {cost.currency} was wasted."
        + (f" By part: {by}." if by else "")
    ]
    priced = tuple(f for f in asked.report.findings if f.saving is not None and f.saving.cost is not None)[:2]
    lines += [f"- {f.title} ({_place(f)}): {show_saving(f.saving)}." for f in priced if show_saving(f.saving)]
    return _said("cost", lines, priced)


def _duration(asked: _Asked) -> RunAnswer:
    app = asked.report.application
    lines = [
        f"{app.name or app.id} took {show_ms(app.duration_ms)}"
        + ("." if app.complete else " up to the last event; the log has no end of the application.")
    ]
    wall = asked.report.facts.get("wall_clock")
    if isinstance(wall, dict):
        parts = [
            f"{name.removesuffix('_ms').replace('_', ' ')} {show_ms(float(value))}"
            for name, value in wall.items()
            if isinstance(value, int | float)
        ]
        lines.append(f"Of that: {', '.join(parts)}.")
    prediction = asked.report.prediction
    if prediction is not None:
        wall_ms = prediction.wall_ms
        lines.append(
            f"Its history ({prediction.runs_used} runs) expects {show_ms(wall_ms.mid)}, between {show_ms(wall_ms.low)} and {show_ms(wall_ms.high)}."
        )
    return _said("duration", lines)


def _executors(asked: _Asked) -> RunAnswer:
    app = asked.report.application
    lines = [f"At most {show_count(app.executors_max)} executors with {show_count(app.cores_max)} cores in all were alive at once."]
    core = asked.report.facts.get("core_ms")
    if isinstance(core, dict):
        lines.append(
            "Core time: "
            + ", ".join(f"{name} {show_ms(float(value))}" for name, value in core.items() if isinstance(value, int | float))
            + "."
        )
    sized = tuple(
        f
        for f in asked.report.findings
        if f.code in ("idle-executors", "allocation-churn", "executor-lost", "too-few-partitions", "memory-overallocated")
    )[:2]
    for finding in sized:
        lines += [f"- {line}" if n == 0 else f"  {line}" for n, line in enumerate(_describe(finding))]
    number = re.search(r"\b(\d{1,4})\b", asked.question)
    if asked.what_if is not None and number is not None:
        said = asked.what_if(int(number[1]))
        if said:
            lines.insert(0, said)
    else:
        lines.append("`spark-copilot whatif LOG --executors 1,2,4` replays the recorded tasks on other sizes.")
    return _said("executors", lines, sized)


def _failures(asked: _Asked) -> RunAnswer:
    codes = ("job-failed", "task-failures", "stage-retries", "executor-lost", "out-of-memory")
    found = tuple(f for f in asked.report.findings if f.code in codes)[:3]
    lines = run_facts.failure_lines(asked.run) if asked.run is not None else []
    for finding in found:
        lines += [f"- {line}" if n == 0 else f"  {line}" for n, line in enumerate(_describe(finding))]
    if not lines or not found:
        lines.append("The rules found no failure worth a change.")
    return _said("failures", lines, found)


def _volumes(asked: _Asked) -> RunAnswer | None:
    return _said("volumes", run_facts.volume_lines(asked.run)) if asked.run is not None else None


def _longest(asked: _Asked) -> RunAnswer | None:
    if asked.run is None:
        return _bottleneck(asked)
    lines = run_facts.longest_stage_lines(asked.run)
    path = asked.report.facts.get("critical_path")
    if isinstance(path, list | tuple) and path:
        lines.append(f"On the critical path: {', '.join(str(stage) for stage in path[:8])}.")
    on_path = {int(stage) for stage in path if str(stage).isdigit()} if isinstance(path, list | tuple) else set()
    found = tuple(f for f in asked.report.findings if f.where.stage_id in on_path)[:1]
    for finding in found:
        lines += _describe(finding)
    return _said("stages", lines, found)


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1e3, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _about(asked: _Asked) -> RunAnswer:
    app = asked.report.application
    quality = asked.report.data_quality
    lines = [f"{app.name} ({app.id}), Spark {app.spark_version or 'of unknown version'} on {app.platform}, {show_ms(app.duration_ms)}."]
    if asked.run is not None and asked.run.app.user:
        lines.append(f"It ran as user {asked.run.app.user}.")
    lines.append(f"It started {_clock(app.started_ms)} and ended {_clock(app.ended_ms)}" + ("." if app.complete else " (last event)."))
    lines.append(
        f"The log is {quality.status}: {quality.bad_lines} lines could not be read, {quality.missing_task_ends} task ends are missing."
    )
    lines += quality.reasons[:3]
    return _said("about", lines)


def _compare(asked: _Asked) -> RunAnswer:
    lines = [
        "One log holds one run, so what another run did is not in it. `spark-copilot compare OLD NEW` ranks the differences of two logs."
    ]
    prediction = asked.report.prediction
    if prediction is not None:
        lines.append(
            f"This run took {show_ms(asked.report.application.duration_ms)}; its history expects {show_ms(prediction.wall_ms.mid)}."
        )
    return _said("compare", lines)


def _counts(asked: _Asked) -> RunAnswer | None:
    return _said("counts", run_facts.count_lines(asked.run)) if asked.run is not None else None


def _codes(asked: _Asked) -> RunAnswer | None:
    text = asked.question.lower()
    report = asked.report
    for pattern, codes in CODE_WORDS:
        if not re.search(pattern, text):
            continue
        found = tuple(f for code in codes for f in report.findings if f.code == code)[:2]
        if found:
            lines = [line for finding in found for line in _describe(finding, changes=2)]
            lines += ["Evidence: " + "; ".join(f"{e.metric} {show_value(e.value, e.unit)}" for e in found[0].evidence[:4]) + "."]
            return _said("finding", lines, found)
        passed = [code for code in codes if code in report.passed]
        unknown = [f"{n.code}: {n.reason}" for n in report.not_computable if n.code in codes]
        lines = [f"Looked for {', '.join(passed)} and saw nothing worth a change in this run."] if passed else []
        lines += [f"Could not be told from this log: {'; '.join(unknown)}."] if unknown else []
        lines += [f"This rule broke: {f.code} ({f.error})." for f in report.failed if f.code in codes]
        if lines:
            return _said("finding", lines)
    return None


def _setting(asked: _Asked) -> RunAnswer | None:
    named = keys_in(asked.question) or _features(asked.question)
    if not named:
        if asked.run is not None and re.search(
            r"\bsettings?\b.*\b(?:in force|used|set)\b|\bwhich settings\b|\bconfiguration of (?:this|the) run\b", asked.question.lower()
        ):
            values = redact_settings(dict(asked.run.environment.spark))
            shown = [
                f"`{key}` = {value if len(value) <= 80 else value[:77] + '...'}"
                for key, value in sorted(values.items())
                if known(key) is not None
            ][:12]
            return _said("settings", [f"{show_count(len(values))} Spark properties were set, among them:", *shown])
        return None
    lines: list[str] = []
    for key in named[:3]:
        lines += _one_setting(key, asked)
    found = tuple(f for f in asked.report.findings if any(change.key in named for change in f.changes) or f.where.setting in named)[:2]
    lines += [f"{f.title} ({_place(f)}) proposes: {_change(change)}" for f in found for change in f.changes if change.key in named][:2]
    return _said("setting", lines, found)


def _features(question: str) -> list[str]:
    """Settings behind a feature, when the question asks whether or how it was set."""
    text = question.lower()
    if not _HOW_SET.search(text):
        return []
    return [key for pattern, keys in FEATURES if re.search(pattern, text) for key in keys][:2]


_HOW_SET = re.compile(
    r"\b(?:enabled|disabled|turned o|switched o|set to|is .* on\b|was .* on\b|how (?:much|many|large|big)|what (?:is|was) the|what's the)"
)


def _one_setting(key: str, asked: _Asked) -> list[str]:
    fact = known(key)
    exact = fact.key if fact is not None else key
    version = asked.report.application.spark_version
    lines = []
    if asked.run is not None:
        value = asked.run.conf(exact)
        if value is not None:
            lines.append(f"`{exact}` = {redact_settings({exact: value})[exact]} in this run.")
        else:
            lines.append(f"`{exact}` is not set in this run.")
    if fact is None:
        return [*lines, f"`{key}` is in no catalog of Spark's settings; is it spelled right?"]
    default = default_in(fact, version) if fact.history and version else fact.default
    if default is not None:
        lines.append(
            f"Its default in Spark {version}: {default or '(empty)'}."
            if fact.history and version
            else f"Its default: {default or '(empty)'}."
        )
    return lines


def _stage(asked: _Asked) -> RunAnswer | None:
    match = re.search(r"\bstage\s+#?(\d{1,7})(?:\.(\d{1,3}))?\b", asked.question.lower())
    if match is None:
        return None
    stage = int(match[1])
    found = tuple(f for f in asked.report.findings if f.where.stage_id == stage or stage in f.also)[:2]
    lines = run_facts.stage_lines(asked.run, stage, int(match[2]) if match[2] else None) if asked.run is not None else []
    if not lines and not found:
        return _said(
            "stage", [f"Stage {stage} is not in the log."] if asked.run is not None else [f"The report names no finding in stage {stage}."]
        )
    for finding in found:
        lines += _describe(finding)
    if not found:
        lines.append("No finding speaks of it.")
    return _said("stage", lines, found)


def _executor(asked: _Asked) -> RunAnswer | None:
    match = re.search(r"\bexecutor\s+#?(\d{1,6})\b(?!\s*(?:cores?|gb|g\b))", asked.question.lower())
    if match is None:
        return None
    found = tuple(f for f in asked.report.findings if f.where.executor_id == match[1])[:2]
    lines = run_facts.executor_lines(asked.run, match[1]) if asked.run is not None else []
    if not lines and not found:
        return _said("executor", [f"Executor {match[1]} is not in the log."])
    return _said("executor", [*lines, *(line for f in found for line in _describe(f))], found)


def _sql(asked: _Asked) -> RunAnswer | None:
    if asked.run is None:
        return None
    match = re.search(r"\b(?:sql|query|execution)\s+(?:execution\s+)?#?(\d{1,7})\b", asked.question.lower())
    if match is None:
        if not re.search(r"\b(?:which|what|longest|slowest)\b.*\b(?:sql|quer(?:y|ies))\b", asked.question.lower()):
            return None
        return _said("sql", run_facts.sql_lines(asked.run) or ["The log holds no SQL execution."])
    lines = run_facts.sql_lines(asked.run, int(match[1]))
    found = tuple(f for f in asked.report.findings if f.where.sql_id == int(match[1]))[:2]
    return _said(
        "sql", [*(lines or [f"SQL execution {match[1]} is not in the log."]), *(line for f in found for line in _describe(f))], found
    )


_Intent = Callable[[_Asked], RunAnswer | None]
_ROUTES: dict[str, _Intent] = {
    "compare": _compare,
    "counts": _counts,
    "cost": _cost,
    "executors": _executors,
    "failures": _failures,
    "duration": _duration,
    "longest": _longest,
    "volumes": _volumes,
    "about": _about,
    "changes": _changes,
    "bottleneck": _bottleneck,
}
_ALWAYS = frozenset({"about"})
"""Routes a question takes even when it is put like a question about Spark in general."""
