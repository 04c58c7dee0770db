"""The tools of chat and of the MCP server: small, typed, read-only questions to analysed runs, named by handle.

Whatever a caller hands in leads nowhere but to the runs of the session's `RunSource`: there is no path, no address and no command among the
arguments. Results are bounded, and every text of a log in them is freed of what cannot be seen.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from spark_copilot.orchestration.ask import KnowledgePlace, SearchAnswer
from spark_copilot.orchestration.ask import search as search_knowledge
from spark_copilot.orchestration.chat import shapes
from spark_copilot.orchestration.compare import Comparison
from spark_copilot.orchestration.compare import compare as compare_runs
from spark_copilot.orchestration.runs import AnalysedRun, RunSource
from spark_copilot.orchestration.whatif import WhatIf
from spark_copilot.orchestration.whatif import what_if as replay
from spark_copilot.rag.keys import default_in, exists, known
from spark_copilot.rag.run_facts import failure_lines
from spark_copilot.rag.run_figures import STAGE_ORDERS, executor_figures, rows_of, shuffle_read, sql_span_ms, stage_figures, stage_order
from spark_copilot.rag.safe_text import from_log, shown, visible
from spark_copilot.rules_engine.catalog import rule_of
from spark_copilot.rules_engine.errors import NotFound, UsageError
from spark_copilot.rules_engine.facts import FAILED
from spark_copilot.rules_engine.findings import Finding, Money, Recommendation, Value
from spark_copilot.rules_engine.plans import graph_of, metric
from spark_copilot.rules_engine.redact import redact_settings, redact_text

MOST_ROWS = 50
MOST_OPERATORS = 120
MOST_SNIPPET = 64 << 10
MOST_SIZES = 8
MOST_EXECUTORS = 10_000
TEXT_LIMIT = 600
"""Characters of one text of a log in a result."""

V = TypeVar("V", bound=Value)
StageOrder = Literal["span_ms", "task_ms_total", "task_ms_max", "disk_spilled_bytes", "shuffle_read_bytes", "shuffle_write_bytes", "input_bytes", "tasks_failed", "gc_ms"]  # fmt: skip
SnippetKind = Literal["properties", "shell", "python", "sql", "yaml", "json"]
_FILE_OF = {
    "properties": "snippet.properties",
    "shell": "snippet.sh",
    "python": "snippet.py",
    "sql": "snippet.sql",
    "yaml": "snippet.yaml",
    "json": "snippet.json",
}


_ADDRESSES = frozenset({"source", "sources", "url"})
"""Fields that hold addresses of our own knowledge; every other text is freed of links."""


def _bounded(value: Any, name: str = "") -> Any:
    if isinstance(value, str):
        clean = visible(value) if name in _ADDRESSES else shown(value)
        return clean if len(clean) <= TEXT_LIMIT else clean[: TEXT_LIMIT - 1] + "…"
    if isinstance(value, dict):
        return {shown(str(key))[:200]: _bounded(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(item, name) for item in value]
    return value


def _safe(value: V) -> V:
    """The same value with every text in it visible and bounded."""
    return type(value).model_validate(_bounded(value.model_dump(mode="json", by_alias=True)))


def _cut(listed: int, there: int, what: str) -> str | None:
    return f"{there - listed} of {there} {what} left out" if there > listed else None


def _limit(limit: int) -> int:
    if limit < 1:
        raise UsageError("limit must be at least 1")
    return min(limit, MOST_ROWS)


@dataclass(frozen=True, slots=True)
class RunTools:
    """The tools over one session's runs. Every method is read-only and safe for threads.

    Every method that takes `run_id` raises NotFound for a run, stage or finding that is not there.
    """

    runs: RunSource
    place: KnowledgePlace
    offered: tuple[str, ...] = field(
        default=(
            "list_runs", "run_summary", "findings", "finding", "stages", "stage", "sql_plan", "executors", "settings", "whatif", "compare", "cost",
            "gate_snippet", "search",
        )
    )  # fmt: skip

    def list_runs(self) -> shapes.RunList:
        """The runs that can be asked about, the newest first, with their handles (run_id)."""
        runs = list(self.runs.known())
        return shapes.RunList(runs=tuple(runs[:MOST_ROWS]), cut=_cut(min(len(runs), MOST_ROWS), len(runs), "runs"))

    def run_summary(self, run_id: str) -> shapes.RunSummary:
        """What one run did, what is wrong with it and what to change first: start here."""
        analysed = self.runs.get(run_id)
        run, report = analysed.run, analysed.report
        app, tasks, facts = report.application, run.tasks, report.facts
        worth = [f for f in report.findings if f.severity.rank < 4][:8] or list(report.findings[:3])
        run_ms = None if tasks.run_ms is None else int(tasks.run_ms.sum())
        path = facts.get("critical_path", [])
        return _safe(
            shapes.RunSummary(
                run_id=run_id,
                name=app.name,
                spark_version=app.spark_version,
                platform=app.platform,
                started_ms=app.started_ms,
                duration_ms=app.duration_ms,
                complete=app.complete,
                executors_max=app.executors_max,
                cores_max=app.cores_max,
                verdict=report.verdict,
                data_quality=report.data_quality,
                jobs=len(run.jobs),
                jobs_failed=int(run.jobs.failed.sum()) if len(run.jobs) else 0,
                stages_ran=int((~run.stages.skipped).sum()) if len(run.stages) else 0,
                stages_failed=int(run.stages.failed.sum()) if len(run.stages) else 0,
                tasks_ended=len(tasks),
                tasks_failed=int((tasks.status == FAILED).sum()),
                sql_executions=len(run.sql),
                wall_clock=dict(facts.get("wall_clock", {})),
                core_ms=dict(facts.get("core_ms", {})),
                critical_path_stage_ids=tuple(path[:30]),
                input_bytes=_total(tasks.input_bytes),
                output_bytes=_total(tasks.output_bytes),
                shuffle_read_bytes=shuffle_read(tasks),
                shuffle_write_bytes=_total(tasks.shuffle_write_bytes),
                disk_spilled_bytes=_total(tasks.disk_spilled_bytes),
                gc_ratio=None if tasks.gc_ms is None or not run_ms else int(tasks.gc_ms.sum()) / run_ms,
                failures=tuple(failure_lines(run)[1:]),
                findings=tuple(map(_brief, worth)),
                plan=tuple(map(_step, report.plan[:5])),
                cut=_cut(len(worth), len(report.findings), "findings")
                or _cut(min(len(path), 30), len(path), "stages of the critical path"),
            )
        )

    def findings(self, run_id: str, limit: int = 10) -> shapes.FindingList:
        """Every finding of a run, the most valuable first, and which rules looked and saw nothing."""
        report = self.runs.get(run_id).report
        listed = report.findings[: _limit(limit)]
        return _safe(
            shapes.FindingList(
                run_id=run_id,
                findings=tuple(map(_brief, listed)),
                passed=report.passed,
                not_computable={n.code: n.reason for n in report.not_computable},
                cut=_cut(len(listed), len(report.findings), "findings"),
            )
        )

    def finding(self, run_id: str, key: str) -> shapes.FindingDetail:
        """One finding by its key: evidence, exact changes, how the saving was worked out, the rule's page."""
        analysed = self.runs.get(run_id)
        found = next((f for f in analysed.report.findings if f.key == key), None)
        if found is None:
            keys = ", ".join(f.key for f in analysed.report.findings[:8])
            raise NotFound(
                f"no finding {from_log(key, 80)!r} in run {run_id}", hint=f"known: {keys}" if keys else "the run has no findings"
            )
        rule = rule_of(found.code)
        return _safe(
            shapes.FindingDetail(
                run_id=run_id,
                key=found.key,
                title=found.title,
                severity=found.severity.value,
                confidence=found.confidence.value,
                where=found.where,
                occurrences=found.occurrences,
                because=found.because,
                evidence=found.evidence,
                changes=found.changes,
                saving=found.saving,
                working=_working(analysed, found),
                stage=self._stage_row(analysed, found),
                rule=rule.page if rule is not None else "",
                sources=found.sources,
            )
        )

    def stages(self, run_id: str, sort_by: StageOrder = "span_ms", limit: int = 10) -> shapes.StageList:
        """The stages that ran, the largest first by duration, task time, spill, shuffle, input, failures or garbage collection."""
        if sort_by not in STAGE_ORDERS:
            raise UsageError(f"cannot sort by {from_log(sort_by, 40)!r}", hint="known: " + ", ".join(STAGE_ORDERS))
        run = self.runs.get(run_id).run
        order = stage_order(run, sort_by)
        rows = order[: _limit(limit)]
        listed = tuple(_row(stage_figures(run, row)) for row in rows)
        return _safe(shapes.StageList(run_id=run_id, sorted_by=sort_by, stages=listed, cut=_cut(len(rows), len(order), "stages")))

    def stage(self, run_id: str, stage_id: int, attempt: int | None = None) -> shapes.StageDetail:
        """One stage: times, data, spill, garbage collection, failures, and the findings that speak of it."""
        analysed = self.runs.get(run_id)
        run, report = analysed.run, analysed.report
        rows = rows_of(run, stage_id, attempt)
        if not rows:
            raise NotFound(f"stage {stage_id} is not in the log of run {run_id}")
        figures = asdict(stage_figures(run, rows[-1]))
        share = figures["span_ms"] / run.wall_ms if figures["span_ms"] is not None and run.wall_ms else None
        return _safe(
            shapes.StageDetail(
                run_id=run_id,
                attempts=len(rows_of(run, stage_id)),
                share_of_wall_ratio=share,
                on_critical_path=stage_id in report.facts.get("critical_path", []),
                findings=tuple(_brief(f) for f in report.findings if f.where.stage_id == stage_id or stage_id in f.also)[:5],
                **figures,
            )
        )

    def sql_plan(self, run_id: str, sql_id: int | None = None) -> shapes.SqlPlan:
        """One SQL execution with its physical plan; without sql_id the longest one, and the others by name."""
        run = self.runs.get(run_id).run
        if not run.sql:
            raise NotFound(f"run {run_id} has no SQL execution")
        longest = sorted(run.sql, key=lambda s: (-(sql_span_ms(run, s) or 0), s.sql_id))
        sql = longest[0] if sql_id is None else next((s for s in run.sql if s.sql_id == sql_id), None)
        if sql is None:
            raise NotFound(f"SQL execution {sql_id} is not in the log of run {run_id}")
        graph = graph_of(sql.plan)
        nodes = list(graph)
        sql_row = run.sql.index(sql)
        stages = tuple(run.stages.ref(int(row)) for row in np.flatnonzero(run.stages.sql_row == sql_row)) if len(run.stages) else ()
        return _safe(
            shapes.SqlPlan(
                run_id=run_id,
                sql_id=sql.sql_id,
                description=from_log(sql.description, 300),
                span_ms=sql_span_ms(run, sql),
                jobs=sql.job_ids[:MOST_ROWS],
                stages=stages[:MOST_ROWS],
                error=from_log(sql.error, 300) if sql.error else None,
                replans=sql.replans,
                operators=tuple(
                    shapes.PlanOperator(
                        node_id=node.node_id,
                        name=from_log(node.name, 60),
                        text=from_log(node.plan.text, 240),
                        inputs=tuple(child.node_id for child in graph.inputs(node.node_id)),
                        output_rows=metric(sql, node.plan, "number of output rows"),
                    )
                    for node in nodes[:MOST_OPERATORS]
                ),
                others={
                    str(s.sql_id): from_log(s.description, 80) for s in longest if s is not sql and sql_id is None and len(longest) < 30
                },
                cut=_cut(min(len(nodes), MOST_OPERATORS), len(nodes), "operators"),
            )
        )

    def executors(self, run_id: str, limit: int = 10) -> shapes.ExecutorList:
        """Executors with their hosts, life time, load, failures and why they went."""
        run = self.runs.get(run_id).run
        rows = [executor_figures(run, row) for row in range(len(run.executors))]
        rows.sort(key=lambda e: (-e.task_ms_total, e.executor_id))
        listed = rows[: _limit(limit)]
        return _safe(
            shapes.ExecutorList(
                run_id=run_id,
                executors_max=run.executors_max,
                executors_seen=len(rows),
                executors=tuple(shapes.ExecutorRow(**asdict(e)) for e in listed),
                cut=_cut(len(listed), len(rows), "executors"),
            )
        )

    def settings(self, run_id: str, contains: str = "") -> shapes.SettingList:
        """Spark settings of the run whose key contains a text; a whole key is also answered when it is not set, with Spark's default."""
        run = self.runs.get(run_id).run
        values = redact_settings(dict(run.environment.spark))
        wanted = contains.strip().lower()
        keys = sorted(key for key in values if wanted in key.lower())
        fact = known(contains.strip()) if wanted else None
        if fact is not None and fact.key not in keys:
            keys.insert(0, fact.key)
        rows = []
        for key in keys[:MOST_ROWS]:
            entry = known(key)
            default = None
            if entry is not None:
                default = default_in(entry, run.app.spark_version) if entry.history and run.app.spark_version else entry.default
            rows.append(shapes.SettingRow(key=key, value=values.get(key), default=default, known=exists(key)))
        return _safe(
            shapes.SettingList(run_id=run_id, set_in_all=len(values), settings=tuple(rows), cut=_cut(len(rows), len(keys), "settings"))
        )

    def whatif(
        self,
        run_id: str,
        executors: list[int] | None = None,
        cores: int | None = None,
        settings: dict[str, str] | None = None,
        apply: list[str] | None = None,
    ) -> WhatIf:
        """The recorded tasks replayed with other numbers of executors or cores, other settings, or with findings (by key) mended."""
        sizes = list(executors or ())
        if len(sizes) > MOST_SIZES or any(not 1 <= n <= MOST_EXECUTORS for n in sizes) or (cores is not None and not 1 <= cores <= 1_000):
            raise UsageError(f"at most {MOST_SIZES} sizes of 1 to {MOST_EXECUTORS} executors, and 1 to 1000 cores")
        unknown = [key for key in settings or {} if not exists(key)]
        if unknown:
            raise UsageError(f"{from_log(unknown[0], 80)!r} is in no catalog of Spark's settings")
        run = self.runs.get(run_id).run
        return _safe(replay(run, executors=sizes, cores=cores, settings=settings, apply=tuple(apply or ())[:20]))

    def compare(self, baseline_run_id: str, candidate_run_id: str) -> Comparison:
        """Two runs: where the difference in wall clock comes from, whether it is more than noise, which settings differ."""
        made = compare_runs(self.runs.get(baseline_run_id).run, self.runs.get(candidate_run_id).run)
        return _safe(made.model_copy(update={"contributions": made.contributions[:15], "settings": made.settings[:30]}))

    def cost(self, run_id: str, price_per_core_hour: float | None = None, currency: str = "USD") -> shapes.CostAnswer:
        """Core and memory time, used, idle and lost; money at the report's price list or at the price given for one core hour."""
        report = self.runs.get(run_id).report
        if price_per_core_hour is not None and not 0 <= price_per_core_hour <= 1e6:
            raise UsageError("the price of a core hour must lie between 0 and 1,000,000")
        if not (currency.isascii() and currency.isalpha() and len(currency) == 3):
            raise UsageError("a currency has three letters", hint="for example USD or EUR")
        core = {name: value / 3.6e6 for name, value in report.facts.get("core_ms", {}).items()}
        memory = {name: value / 1024 / 3.6e6 for name, value in report.facts.get("memory_mib_ms", {}).items()}
        total = wasted = None
        if price_per_core_hour is not None:
            total = _money(sum(core.values()) * price_per_core_hour, currency)
            wasted = _money((core.get("idle", 0.0) + core.get("failed", 0.0)) * price_per_core_hour, currency)
        note = "" if report.cost is not None or total is not None else "no price is in the log; give price_per_core_hour for money"
        return _safe(
            shapes.CostAnswer(
                run_id=run_id,
                core_hours=core,
                memory_gib_hours=memory,
                report_cost=report.cost,
                at_given_price=total,
                wasted_at_given_price=wasted,
                note=note,
            )
        )

    def gate_snippet(self, text: str, kind: SnippetKind = "properties", spark_version: str | None = None) -> shapes.GateAnswer:
        """Judge a snippet of Spark settings (properties, spark-submit command, Python, SQL, YAML or JSON) as the gate judges files."""
        from spark_copilot.orchestration.gate import gate_texts
        from spark_copilot.rules_engine.gate.target import SparkVersion, Target

        if len(text) > MOST_SNIPPET:
            raise UsageError(f"a snippet has at most {MOST_SNIPPET >> 10} KiB")
        if kind not in _FILE_OF:
            raise UsageError(f"no kind {from_log(kind, 40)!r}", hint="known: " + ", ".join(_FILE_OF))
        made = gate_texts({_FILE_OF[kind]: text}, target=Target(spark=SparkVersion.parse(spark_version) if spark_version else None))
        rows = tuple(
            shapes.GateRow(
                rule=f.rule,
                name=f.name,
                severity=f.severity,
                line=f.line,
                key=f.key,
                message=redact_text(f.message),
                fix=redact_text(f.fix) if f.fix else None,
            )
            for f in made.findings[:MOST_ROWS]
        )
        return _safe(
            shapes.GateAnswer(
                verdict="findings" if rows else "clean",
                findings=rows,
                keys_read=sum(f.keys for f in made.files),
                cut=_cut(len(rows), len(made.findings), "findings"),
            )
        )

    def search(self, query: str, k: int = 5) -> SearchAnswer:
        """Passages of the knowledge (topic cards, the settings catalog, the user's own documents) nearest to a query."""
        return _safe(search_knowledge(query, self.place, k=max(1, min(k, 10))))

    @staticmethod
    def _stage_row(analysed: AnalysedRun, found: Finding) -> shapes.StageRow | None:
        if found.where.stage_id is None:
            return None
        rows = rows_of(analysed.run, found.where.stage_id, found.where.stage_attempt)
        return _row(stage_figures(analysed.run, rows[-1])) if rows else None


def _total(column: "np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None") -> int | None:
    return None if column is None else int(column.sum())


def _money(amount: float, currency: str) -> Money:
    exact = round(amount, 4)
    return Money(low=exact, mid=exact, high=exact, currency=currency.upper())


def _brief(finding: Finding) -> shapes.FindingBrief:
    return shapes.FindingBrief(
        key=finding.key,
        title=finding.title,
        severity=finding.severity.value,
        confidence=finding.confidence.value,
        where=finding.where,
        because=finding.because,
        saving=finding.saving,
    )


def _step(advice: Recommendation) -> shapes.Step:
    return shapes.Step(text=advice.text, because=advice.because, saving=advice.saving, stop_condition=advice.stop_condition)


def _row(figures: Any) -> shapes.StageRow:
    names = set(shapes.StageRow.model_fields) - {"stage"}
    return shapes.StageRow(stage=figures.ref, **{name: getattr(figures, name) for name in names})


def _working(analysed: AnalysedRun, found: Finding) -> shapes.Working | None:
    """The replay behind the saving."""
    if found.remedy is None:
        return None
    from spark_copilot.ml.simulator import Simulator

    simulator = Simulator(analysed.run)
    return shapes.Working(
        remedy=found.remedy.kind,
        wall_ms_recorded=float(analysed.run.wall_ms),
        wall_ms_with_remedy=round(simulator.wall_ms((found.remedy,))),
        replay_error_ratio=round(simulator.error_ratio, 4),
    )


def tool_list(tools: RunTools) -> Sequence[Any]:
    """The bound methods that are offered, in a fixed order."""
    return [getattr(tools, name) for name in tools.offered]
