"""What Spark SQL tells of a run: executions with their plan trees, and the progress of streaming queries."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlanMetric:
    """One SQL metric of a plan node: its accumulator and how Spark renders it (sum, size, timing, nsTiming, average)."""

    name: str
    accumulator: int
    kind: str


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One operator of a physical plan as the log holds it; `text` is Spark's simple string, `metadata` what scans add."""

    name: str
    text: str
    children: tuple["PlanNode", ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[PlanMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class SqlExecution:
    """One SQL execution. `plan` is the last plan (after adaptive re-planning), `first_plan` the one it started with.

    `metrics` maps accumulator ids of its plans to totals over tasks and driver updates; ids never updated are absent.
    `completed_ms` MISSING: no end event. `root_id` MISSING before Spark 3.4.
    """

    sql_id: int
    root_id: int
    description: str
    details: str
    physical_plan: str
    submitted_ms: int
    completed_ms: int
    error: str | None
    first_plan: PlanNode | None
    plan: PlanNode | None
    replans: int = 0
    job_ids: tuple[int, ...] = ()
    metrics: Mapping[int, int] = field(default_factory=dict)
    modified_configs: Mapping[str, str] = field(default_factory=dict)
    job_tags: tuple[str, ...] = ()
    metric_strings: Mapping[int, str] | None = None
    """Spark's own rendering per accumulator ("total (min, med, max …)"), only when the run was read with task-level SQL metrics."""
    error_message: str | None = None
    """The end event's own field: empty for success since Spark 3.4, None before and while running."""
    query_id: str | None = None
    """Since Spark 4.2."""
    all_metrics: tuple[PlanMetric, ...] = ()
    """Metrics of every plan version, in the order they appeared."""


@dataclass(frozen=True, slots=True)
class StreamProgress:
    """One micro-batch of a Structured Streaming query, from its progress event; durations by Spark's names (addBatch …)."""

    query_id: str
    run_id: str
    name: str | None
    batch_id: int
    timestamp_ms: int
    duration_ms: Mapping[str, int]
    input_rows: int
    input_rows_per_second: float
    processed_rows_per_second: float
    state_rows: int
    state_memory_bytes: int
    state_rows_updated: int = 0
    sources: tuple[str, ...] = ()
