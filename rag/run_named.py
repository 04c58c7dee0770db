"""Questions that name a thing of the run: a setting, a stage, an executor, a SQL execution."""

import re

from spark_copilot.rag import run_facts
from spark_copilot.rag.keys import default_in, known
from spark_copilot.rag.run_figures import rows_of, stage_figures
from spark_copilot.rag.run_measures import percent
from spark_copilot.rag.run_said import Asked, RunAnswer, change_line, describe, place, said
from spark_copilot.rag.run_words import FEATURES
from spark_copilot.rag.safe_text import from_log
from spark_copilot.rag.text import keys_in
from spark_copilot.rules_engine.redact import redact_settings
from spark_copilot.rules_engine.units import show_count

_HOW_SET = re.compile(
    r"\b(?:enabled|disabled|turned o|switched o|set to|is .* on\b|was .* on\b|how (?:much|many|large|big)|what (?:is|was) the|what's the|using|used)"
)
_ALL_SETTINGS = re.compile(
    r"\bsettings?\b.*\b(?:in force|used|set)\b|\bwhich settings\b.*\b(?:run|set|used|force)\b|\bconfiguration of (?:this|the) run\b"
)
_OTHER_VALUE = re.compile(
    r"(?:\b(?:to|were|was|at|of|with|is)\s+|=\s*)[`'\"]?(?P<value>\d+(?:\.\d+)?\s?[a-z]{0,2}|true|false)[`'\"]?(?=[\s?.!,]|$)",
    re.IGNORECASE,
)


def setting(asked: Asked) -> RunAnswer | None:
    """A setting by key or by what people call it: its value in the run, its default, what the findings propose."""
    named = keys_in(asked.question) or _features(asked.question)
    if not named:
        return _all_settings(asked) if _ALL_SETTINGS.search(asked.text) else None
    lines: list[str] = []
    if asked.what_if_set is not None and re.search(
        r"\bwhat (?:if|would|happens)|\bif (?:i|we) (?:set|raise|lower|change)|\bwould\b", asked.text
    ):
        other = _OTHER_VALUE.search(asked.question[asked.question.find(named[0]) + len(named[0]) :] if named[0] in asked.question else "")
        told = asked.what_if_set(named[0], other["value"].replace(" ", "")) if other else None
        lines += [told] if told else []
    for key in named[:3]:
        lines += _one_setting(key, asked)
    found = tuple(f for f in asked.report.findings if any(change.key in named for change in f.changes) or f.where.setting in named)[:2]
    lines += [f"{f.title} ({place(f)}) proposes: {change_line(change)}" for f in found for change in f.changes if change.key in named][:2]
    return said("setting", lines, found)


def _all_settings(asked: Asked) -> RunAnswer | None:
    if asked.run is None:
        return None
    values = redact_settings(dict(asked.run.environment.spark))
    shown = [f"`{key}` = {from_log(value, 80)}" for key, value in sorted(values.items()) if known(key) is not None][:12]
    return said("settings", [f"{show_count(len(values))} Spark properties were set, among them:", *shown])


def _features(question: str) -> list[str]:
    """Settings behind a feature, when the question asks whether or how it was set."""
    text = question.lower()
    if not _HOW_SET.search(text):
        return []
    return [key for pattern, keys in FEATURES if re.search(pattern, text) for key in keys][:2]


def _one_setting(key: str, asked: Asked) -> list[str]:
    fact = known(key)
    exact = fact.key if fact is not None else key
    version = asked.report.application.spark_version
    lines = []
    if asked.run is not None:
        value = asked.run.conf(exact)
        if value is not None:
            lines.append(f"`{exact}` = {from_log(redact_settings({exact: value})[exact], 200)} in this run.")
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


def stage(asked: Asked) -> RunAnswer | None:
    """A stage by number."""
    match = re.search(r"\bstages?\s+(?:id\s+|number\s+)?#?(\d{1,7})(?:\.(\d{1,3}))?(?!\s*(?:executors?|cores?))\b", asked.text)
    if match is None:
        return None
    number = int(match[1])
    found = tuple(f for f in asked.report.findings if f.where.stage_id == number or number in f.also)[:2]
    attempt = int(match[2]) if match[2] else None
    lines = run_facts.stage_lines(asked.run, number, attempt) if asked.run is not None else []
    if not lines and not found:
        if asked.run is None:
            return said("stage", [f"The report names no finding in stage {number}."])
        there = sorted({int(s) for s in asked.run.stages.stage_id})
        more = f" It holds stages {there[0]} to {there[-1]}." if there else " It holds no stage."
        return said("stage", [f"Stage {number} is not in the log.{more}"])
    refs: tuple[str, ...] = ()
    if asked.run is not None and (rows := rows_of(asked.run, number, attempt)):
        figures = stage_figures(asked.run, rows[-1])
        refs = (figures.ref,)
        if figures.span_ms and asked.run.wall_ms:
            on_path = number in asked.report.facts.get("critical_path", ())
            lines.insert(
                1, f"That is {percent(figures.span_ms / asked.run.wall_ms)} of the wall clock{', on the critical path' if on_path else ''}."
            )
    for finding in found:
        lines += describe(finding)
    if not found:
        lines.append("No finding speaks of it.")
    return said("stage", lines, found, stages=refs)


def executor(asked: Asked) -> RunAnswer | None:
    """An executor by number."""
    match = re.search(r"\bexecutor\s+(?:id\s+)?#?(\d{1,6})\b(?!\s*(?:cores?|gb|g\b))", asked.text)
    if match is None:
        return None
    found = tuple(f for f in asked.report.findings if f.where.executor_id == match[1])[:2]
    lines = run_facts.executor_lines(asked.run, match[1]) if asked.run is not None else []
    if not lines and not found:
        return said("executor", [f"Executor {match[1]} is not in the log."])
    return said("executor", [*lines, *(line for f in found for line in describe(f))], found)


def sql(asked: Asked) -> RunAnswer | None:
    """A SQL execution by number, or the longest ones."""
    if asked.run is None:
        return None
    match = re.search(r"\b(?:sql|quer(?:y|ies)|execution)\s+(?:execution\s+|id\s+|number\s+)?#?(\d{1,7})\b", asked.text)
    if match is None:
        if not re.search(r"\b(?:which|what|longest|slowest|most expensive)\b.*\b(?:sql|quer(?:y|ies))\b(?!\.)", asked.text) or re.search(
            r"how many|fail", asked.text
        ):
            return None
        ids = tuple(s.sql_id for s in run_facts.longest_sql(asked.run))
        return said("sql", run_facts.sql_lines(asked.run) or ["The log holds no SQL execution."], sql=ids)
    number = int(match[1])
    lines = run_facts.sql_lines(asked.run, number)
    found = tuple(f for f in asked.report.findings if f.where.sql_id == number)[:2]
    return said(
        "sql",
        [*(lines or [f"SQL execution {number} is not in the log."]), *(line for f in found for line in describe(f))],
        found,
        sql=(number,) if lines else (),
    )
