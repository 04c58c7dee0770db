"""Every figure of an answer without a model is in the analysis, is an aggregate of a column of the log, or is a share of two that stand there.

The aggregates are computed here, apart from the code that words the answers. A second test changes the figures and holds that the check sees it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_copilot.orchestration.ask import KnowledgePlace, about_run
from spark_copilot.orchestration.chat.grounding import Grounds, as_json
from spark_copilot.orchestration.chat.quantities import Kind, Quantity, quantities
from spark_copilot.orchestration.chat.tools import RunTools
from spark_copilot.orchestration.runs import AnalysedRun, LogRuns
from spark_copilot.rules_engine.facts import AppRun

LOGS = Path(__file__).parents[2] / "data" / "laboratory"
NAMES = ("crumbs", "big-sort", "flaky-tasks", "global-window@3.5", "delta-merge", "endless-state", "broadcast-small-side", "come-and-go")
_WORDING = re.compile(r"\b95th percentile|\w+\.(?:java|scala|py):\d+")
"""Numbers that are no figures: the name of a measure, lines of code."""
QUESTIONS = """which stage is the bottleneck and why?
how long did it take?
what should I change first?
how much time can be saved?
how sure are you?
how many executors were there?
how many cores were used?
how many tasks ran?
how many tasks failed?
how many stages were there?
how many jobs ran?
how much data was read?
how much data was written?
how much was shuffled?
how much was spilled to disk?
how much time went into garbage collection?
was there skew?
what is the slowest task?
what is the median task time?
what is the longest stage?
how busy were the executors?
what was the cpu utilisation?
how much idle time was there?
what is the peak memory?
what would happen with 8 executors?
what if twice as many executors?
what does it cost?
which joins were used?
which tables are read?
which executor was the slowest?
describe stage 1
describe executor 1
which query took longest?
describe sql 0
which spark version is this?
when did it start?
did it fail and why?
how long did the driver wait?
how long was start-up?
what is the parallelism?
what is the average task duration?
how many rows were read?
how much fetch wait was there?
what is the critical path?
how much deserialisation time?
which settings were set?
what is the largest partition?
list the stages
list the executors
how long did the stages take?""".splitlines()


class Figures:
    """What is known of one run: the analysis and the tools' answers, and aggregates of its columns."""

    def __init__(self, name: str) -> None:
        runs = LogRuns([LOGS / f"{name}.zstd"])
        self.analysed: AnalysedRun = runs.get(runs.known()[0].run_id)
        self.grounds = Grounds()
        self.add(json.loads(self.analysed.report.model_dump_json()))
        tools = RunTools(runs, KnowledgePlace(Path("/nowhere")))
        run_id = self.analysed.report.application.id
        self.add(as_json(tools.run_summary(run_id)))
        self.add(as_json(tools.cost(run_id)))
        self.add(as_json(tools.executors(run_id)))
        self.add(as_json(tools.settings(run_id)))
        for executors in (8, 2 * self.analysed.report.application.executors_max):
            self.add(as_json(tools.whatif(run_id, executors=[executors])))
        core = self.analysed.report.facts["core_ms"]
        self.grounds.add(sum(core.values()) / 3_600_000)
        for kind, value in aggregates(self.analysed.run):
            self.grounds.add(value, kind)

    def add(self, value: Any) -> None:
        """A result."""
        self.grounds.add(value)

    def strays(self, question: str, text: str) -> Iterator[Quantity]:
        """Figures of an answer that nothing bears out."""
        asked = Grounds()
        asked.add_text(question)
        text = _WORDING.sub(lambda m: " " * len(m[0]), text)
        found = list(quantities(text))
        for q in found:
            if not (self.grounds.holds(q) or asked.holds(q) or self._is_share(q, found)):
                yield q

    def _is_share(self, q: Quantity, beside: list[Quantity]) -> bool:
        """Whether a percentage, or so many times, is the quotient of a figure of its answer and another one or a total of the run."""
        if q.literal is not None or q.kind == "bytes" or q.kind == "ms":
            return False
        for a in beside:
            for b in [*beside, *self._totals()]:
                if a is q or b is q or a is b or a.kind != b.kind or b.value <= b.step:
                    continue
                low, high = (a.value - a.step) / (b.value + b.step), (a.value + a.step) / (b.value - b.step)
                if low - q.step * 0.51 <= q.value <= high + q.step * 0.51:
                    return True
        return False

    @cache  # noqa: B019 - one object a log
    def _totals(self) -> tuple[Quantity, ...]:
        run, report = self.analysed.run, self.analysed.report
        core = report.facts["core_ms"]
        sums = [float(report.application.duration_ms), float(sum(core.values())), float((run.tasks.finish_ms - run.tasks.launch_ms).sum())]
        sums += [] if run.tasks.run_ms is None else [float(run.tasks.run_ms.sum())]
        return tuple(Quantity(0, 0, value, "ms", 0.0) for value in sums)


def aggregates(run: AppRun) -> Iterator[tuple[Kind, float]]:
    """Count, sum, mean, extremes and quantiles of every column of numbers: of the application, of each stage and of each executor."""
    tasks = run.tasks
    whole = np.ones(len(tasks.task_id), dtype=bool)
    groups = [whole]
    groups += [tasks.stage_row == row for row in range(len(run.stages.stage_id))]
    groups += [tasks.executor_row == row for row in range(len(run.executors.executor_id))]
    columns: list[tuple[Kind, np.ndarray[Any, Any]]] = [("ms", tasks.finish_ms - tasks.launch_ms)]
    for field in fields(tasks):
        column = getattr(tasks, field.name)
        if isinstance(column, np.ndarray) and column.ndim == 1 and len(column) == len(whole) and column.dtype != bool:
            if field.name.endswith("_ns"):
                columns.append(("ms", column / 1e6))
            elif field.name.endswith(("_ms", "_bytes", "_records", "_blocks")) and field.name not in ("launch_ms", "finish_ms"):
                columns.append(("ms" if field.name.endswith("_ms") else "bytes" if field.name.endswith("_bytes") else "plain", column))
    read = [getattr(tasks, f"shuffle_read_{side}_bytes") for side in ("local", "remote")]
    if all(column is not None for column in read):
        columns.append(("bytes", read[0] + read[1]))
    for group in groups:
        yield "plain", float(group.sum())
        for status in np.unique(tasks.status[group]) if group.any() else ():
            yield "plain", float((tasks.status[group] == status).sum())
        for part in (tasks.gc_ms, tasks.fetch_wait_ms, tasks.deserialise_ms):
            if part is not None and tasks.run_ms is not None and tasks.run_ms[group].sum():
                yield "ratio", float(part[group].sum() / tasks.run_ms[group].sum())
        for kind, column in columns:
            held = column[group]
            if len(held):
                yield from (
                    (kind, float(v)) for v in (held.sum(), held.mean(), held.min(), held.max(), *np.quantile(held, (0.5, 0.75, 0.95)))
                )
    for table in (run.stages, run.jobs):
        done = table.completed_ms >= table.submitted_ms
        spans = (table.completed_ms - table.submitted_ms)[done]
        yield from (("ms", float(v)) for v in spans)
        yield "plain", float(len(table.submitted_ms))
        yield "ms", float(spans.sum())
    for sql in run.sql:
        yield "ms", float(sql.completed_ms - sql.submitted_ms)
    for peaks in run.executors.peaks:
        yield from (("bytes" if "Memory" in name else "plain", float(value)) for name, value in peaks.items())


@pytest.fixture(scope="module", params=NAMES)
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.param)


def said(figures: Figures, question: str) -> str:
    answer = about_run(question, figures.analysed.report, figures.analysed.run)
    return "" if answer is None else answer.text


def test_no_figure_strays(figures: Figures) -> None:
    strays = []
    answered = 0
    for question in QUESTIONS:
        text = said(figures, question)
        answered += bool(text)
        strays += [(question, text[max(0, q.start - 60) : q.end + 20]) for q in figures.strays(question, text)]
    assert answered >= 40
    assert strays == []


def test_the_check_sees_changed_figures(figures: Figures) -> None:
    changed = seen = 0
    for question in QUESTIONS[:20]:
        text = said(figures, question)
        for match in re.finditer(r"(?<![\w.,])\d{2,3}\.\d(?= (?:s|MiB|GiB)\b)", text):
            false = text[: match.start()] + f"{float(match[0]) * 1.37:.1f}" + text[match.end() :]
            changed += 1
            seen += any(q.start == match.start() for q in figures.strays(question, false))
    assert changed > 0
    assert seen / changed > 0.6, (seen, changed)
