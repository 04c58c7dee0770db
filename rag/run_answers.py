"""Questions about one run, answered from its report and its facts alone: a route by words, then sentences filled with the run's own numbers.

No number is made here: what is said is a field of the report, a column of the run or a sum over one, what a replay gives, or what the question
itself named. What an event log cannot hold is said to be missing, not guessed.
"""

import re

from spark_copilot.rag import run_lists, run_named, run_whole
from spark_copilot.rag.run_measures import measured
from spark_copilot.rag.run_said import Asked, Route, RunAnswer, WhatIf, WhatIfSet, describe, said
from spark_copilot.rag.run_words import CODE_WORDS, NOT_IN_LOG, ROUTES
from spark_copilot.rag.text import keys_in
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Report
from spark_copilot.rules_engine.units import show_value

__all__ = ["RunAnswer", "WhatIf", "WhatIfSet", "answer_about_run"]

_DEFINITION = re.compile(
    r"^\s*(?:what (?:is|are|does|do)|what's|explain|how (?:does|do|can|should) (?:i|we|one|spark|it)|difference between|when should|is it (?:ok|safe))\b",
    re.IGNORECASE,
)
_THIS_RUN = re.compile(
    r"\bth(?:is|ese)\b|\b(?:my|our|the) (?:run|job|app|application|log|pipeline|query|stage|cluster)\b|\bhere\b|\bit\b|stage \d|\bin force\b"
    r"|\bdid\b|\bwas\b|\bwere\b|\btook\b|\bhow (?:much|many)\b|critical path|\bapp(?:lication)? (?:name|id)|\bcpu (?:time|use|usage|util)"
    r"|\bthe (?:slowest|longest|biggest|largest|worst|main|first|total|average|mean|median|peak|bottleneck|error|cause|cost|verdict|driver|plan|ratio|exact"
    r"|current|name|input|output|summary|findings|physical)\b|\byou (?:recommend|check|look|found|find)",
    re.IGNORECASE,
)
WHOLE: dict[str, Route] = {
    "compare": run_whole.compare,
    "counts": run_lists.counts,
    "cost": run_whole.cost,
    "executors": run_whole.executors,
    "load": run_lists.load,
    "memory": run_lists.memory,
    "tasks": run_lists.tasks,
    "tables": run_lists.tables,
    "joins": run_lists.joins,
    "checked": run_lists.checked,
    "cpu": run_lists.cpu,
    "failures": run_whole.failures,
    "duration": run_whole.duration,
    "longest": run_whole.longest,
    "volumes": run_lists.volumes,
    "about": run_lists.about,
    "saving": run_whole.saving,
    "changes": run_whole.changes,
    "sure": run_whole.sure,
    "bottleneck": run_whole.bottleneck,
}
"""Route -> its answer."""
_NAMED = (run_named.setting, run_named.stage, run_named.executor, run_named.sql)
_FIRST = frozenset(
    [
        "compare",
        "counts",
        "cost",
        "saving",
        "volumes",
        "executors",
        "load",
        "changes",
        "tasks",
        "sure",
        "memory",
        "about",
        "tables",
        "joins",
        "checked",
        "cpu",
    ]
)
"""Routes whose words say more than those of a finding code: they are taken first."""
_ALWAYS = frozenset({"about"})
"""Routes a question takes even when it is put like a question about Spark in general."""


def answer_about_run(
    question: str, report: Report, run: AppRun | None = None, *, what_if: WhatIf | None = None, what_if_set: WhatIfSet | None = None
) -> RunAnswer | None:
    """The answer, or None when the question is not about this run (then the general knowledge answers)."""
    asked = Asked(question, report, run, what_if, what_if_set)
    text = asked.text
    for pattern, words in NOT_IN_LOG:
        if re.search(pattern, text) and not keys_in(question):
            return RunAnswer("not-in-log", f"That is not in the log. An event log does not hold {words}.")
    if what_if is not None and run_whole.size_asked(question, report.application.executors_max) is not None and _sizes(text):
        return WHOLE["executors"](asked)
    for named in _NAMED:
        made = named(asked)
        if made is not None:
            return made
    general = _DEFINITION.search(question) is not None and _THIS_RUN.search(question) is None
    by_code = None if general else _codes(asked)
    for route, words_of in ROUTES:
        if not words_of.search(text) or (general and route not in _ALWAYS):
            continue
        if by_code is not None and route not in _FIRST:
            return by_code
        made = WHOLE[route](asked)
        if made is not None:
            return made
    if not general:
        return by_code
    found = _codes(asked) if text.lstrip().startswith("how") else None
    return found if found is not None and found.findings else None


def _sizes(text: str) -> bool:
    return re.search(r"executor|worker|node|instance|cluster", text) is not None and re.search(r"\bhow many\b.*\bfail", text) is None


def _codes(asked: Asked) -> RunAnswer | None:
    """What the rules found of a matter, and what the run measured of it."""
    report = asked.report
    for pattern, codes in CODE_WORDS:
        if not re.search(pattern, asked.text):
            continue
        found = tuple(f for code in codes for f in report.findings if f.code == code)[:2]
        figures = measured(asked.run, report.facts, codes[0])
        if found:
            lines = [line for finding in found for line in describe(finding, changes=2)]
            lines += figures
            lines += ["Evidence: " + "; ".join(f"{e.metric} {show_value(e.value, e.unit)}" for e in found[0].evidence[:4]) + "."]
            stages = tuple(f"{f.where.stage_id}.{f.where.stage_attempt or 0}" for f in found if f.where.stage_id is not None)
            return said("finding", lines, found, stages=stages)
        passed = [code for code in codes if code in report.passed]
        unknown = [f"{n.code}: {n.reason}" for n in report.not_computable if n.code in codes]
        lines = [*figures]
        lines += [f"Looked for {', '.join(passed)} and saw nothing worth a change in this run."] if passed else []
        lines += [f"Could not be told from this log: {'; '.join(unknown)}."] if unknown else []
        lines += [f"This rule broke: {f.code} ({f.error})." for f in report.failed if f.code in codes]
        if lines:
            return said("finding", lines)
    return None
