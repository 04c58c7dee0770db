"""SQL execution and streaming events -> `SqlExecution` and `StreamProgress`."""

from dataclasses import dataclass, field
from datetime import datetime

from spark_copilot.connectors.eventlog import events_sql as sql_events
from spark_copilot.connectors.eventlog.build_tasks import sane_ms
from spark_copilot.connectors.eventlog.sql_detail import SqlDetail
from spark_copilot.rules_engine.facts import MISSING, PlanMetric, PlanNode, SqlExecution, StreamProgress
from spark_copilot.rules_engine.redact import Redactor


def plan_of(plan: sql_events.Plan, redactor: Redactor) -> PlanNode:
    """The tree as facts hold it, without recursion: plans of generated unions are deep."""
    mask, settings = redactor.text, redactor.settings
    order, todo = [], [plan]
    while todo:
        node = todo.pop()
        order.append(node)
        todo.extend(node.children)
    done: dict[int, PlanNode] = {}
    for node in reversed(order):
        done[id(node)] = PlanNode(
            mask(node.name),
            mask(node.text),
            tuple(done[id(child)] for child in node.children),
            settings(node.metadata) if node.metadata else {},
            tuple(PlanMetric(m.name, m.id, m.kind) for m in node.metrics),
        )
    return done[id(plan)]


def _metrics_in(plan: PlanNode) -> list[PlanMetric]:
    found: list[PlanMetric] = []
    todo = [plan]
    while todo:
        node = todo.pop()
        found.extend(node.metrics)
        todo.extend(reversed(node.children))
    return found


@dataclass(slots=True)
class Execution:
    """One SQL execution while its events arrive."""

    id: int
    root: int = MISSING
    description: str = ""
    details: str = ""
    physical: str = ""
    submitted: int = MISSING
    completed: int = MISSING
    error: str | None = None
    message: str | None = None
    first: PlanNode | None = None
    last: PlanNode | None = None
    replans: int = 0
    jobs: list[int] = field(default_factory=list)
    configs: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metrics: dict[int, PlanMetric] = field(default_factory=dict)
    driver: dict[int, int] = field(default_factory=dict)
    query: str | None = None


class Sql:
    """All SQL executions of a run, by id, in the order they began."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor, self.mask = redactor, redactor.text
        self.by_id: dict[int, Execution] = {}
        self.streaming: list[StreamProgress] = []
        self.detail: SqlDetail | None = None

    def get(self, execution_id: int) -> Execution:
        """The execution, made when an event names it first."""
        return self.by_id.setdefault(execution_id, Execution(execution_id))

    def start(self, event: sql_events.SqlStart) -> None:
        """SparkListenerSQLExecutionStart."""
        one = self.get(event.id)
        one.root = MISSING if event.root is None else event.root
        one.description, one.details = self.mask(event.description or ""), self.mask(event.details or "")
        one.submitted, one.tags = sane_ms(event.time), tuple(map(self.mask, event.tags or ()))
        one.query = None if event.query is None else self.mask(event.query)
        one.configs = self.redactor.settings({k: str(v) for k, v in (event.configs or {}).items()})
        self._plan(one, event.plan, event.physical)
        one.first = one.last

    def update(self, event: sql_events.SqlUpdate) -> None:
        """SparkListenerSQLAdaptiveExecutionUpdate."""
        one = self.get(event.id)
        one.replans += 1
        self._plan(one, event.plan, event.physical)

    def _plan(self, one: Execution, plan: sql_events.Plan | None, physical: str | None) -> None:
        if physical:
            one.physical = self.mask(physical)
        if plan is not None:
            one.last = plan_of(plan, self.redactor)
            for metric in _metrics_in(one.last):
                one.metrics.setdefault(metric.accumulator, metric)

    def metric_updates(self, event: sql_events.SqlMetricUpdates) -> None:
        """SparkListenerSQLAdaptiveSQLMetricUpdates."""
        one = self.get(event.id)
        for metric in event.metrics:
            one.metrics.setdefault(metric.id, PlanMetric(metric.name, metric.id, metric.kind))

    def driver_updates(self, event: sql_events.DriverUpdates) -> None:
        """SparkListenerDriverAccumUpdates."""
        one = self.get(event.id)
        for accumulator, value in event.updates:
            if abs(value) >= 1 << 62:  # no metric, and sums of it would leave 64 bits
                continue
            one.driver[accumulator] = one.driver.get(accumulator, 0) + value

    def end(self, event: sql_events.SqlEnd) -> None:
        """SparkListenerSQLExecutionEnd."""
        one = self.get(event.id)
        one.completed = max(sane_ms(event.time), one.submitted, 0)
        one.message = None if event.error is None else self.mask(event.error)
        one.error = one.message or None

    def progress(self, event: sql_events.QueryProgress) -> None:
        """QueryProgressEvent of Structured Streaming."""
        p = event.progress
        self.streaming.append(
            StreamProgress(
                query_id=p.id,
                run_id=p.run,
                name=None if p.name is None else self.mask(p.name),
                batch_id=p.batch,
                timestamp_ms=_millis(p.timestamp),
                duration_ms=p.durations,
                input_rows=sum(s.rows for s in p.sources),
                input_rows_per_second=sum(_rate(s.input_rate) for s in p.sources),
                processed_rows_per_second=sum(_rate(s.processed_rate) for s in p.sources),
                state_rows=sum(o.rows for o in p.operators),
                state_memory_bytes=sum(o.memory for o in p.operators),
                state_rows_updated=sum(o.updated for o in p.operators),
                sources=tuple(self.mask(s.description) for s in p.sources),
            )
        )

    def table(self, totals: dict[int, int]) -> tuple[SqlExecution, ...]:
        """The executions; `totals` are the last values of accumulators that stages reported."""
        return tuple(
            SqlExecution(
                sql_id=one.id,
                root_id=one.root,
                description=one.description,
                details=one.details,
                physical_plan=one.physical,
                submitted_ms=one.submitted,
                completed_ms=one.completed if one.completed < 0 else max(one.completed, one.submitted),
                error=one.error,
                first_plan=one.first,
                plan=one.last,
                replans=one.replans,
                job_ids=tuple(one.jobs),
                metrics={m: totals.get(m, 0) + one.driver.get(m, 0) for m in one.metrics if m in totals or m in one.driver},
                modified_configs=one.configs,
                job_tags=one.tags,
                error_message=one.message,
                query_id=one.query,
                metric_strings=None if self.detail is None else self.detail.strings.get(one.id, {}),
                all_metrics=tuple(one.metrics.values()),
            )
            for one in self.by_id.values()
        )


def _rate(value: float | str | None) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _millis(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return MISSING
