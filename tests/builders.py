"""Small runs for tests: each builder states only what matters to the test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spark_copilot.rules_engine.facts import (
    MISSING,
    SUCCESS,
    Application,
    AppRun,
    Environment,
    ExecutorTable,
    IntColumn,
    JobTable,
    PlanMetric,
    PlanNode,
    SqlExecution,
    StageTable,
    TaskTable,
)

START = 1_700_000_000_000


@dataclass(frozen=True)
class StageSpec:
    """One stage: task times in launch order; per-task columns by their name in TaskTable (a number stands for all tasks)."""

    ms: Sequence[int]
    columns: Mapping[str, int | Sequence[int]] = field(default_factory=dict)
    status: Sequence[int] | None = None
    executors: Sequence[int] | None = None
    errors: Sequence[str] | None = None
    parents: tuple[int, ...] = ()
    name: str = "count at job.py:10"
    n_tasks: int | None = None
    attempt: int = 0
    speculative: Sequence[bool] | None = None
    index: Sequence[int] | None = None
    accumulables: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    sql_row: int = MISSING
    gap_ms: int = 0
    """Driver time before the stage's job."""
    locality: int = 0


METRICS = [
    "run_ms", "cpu_ns", "deserialise_ms", "deserialise_cpu_ns", "result_serialisation_ms", "result_bytes", "gc_ms", "peak_execution_memory_bytes",
    "memory_spilled_bytes", "disk_spilled_bytes", "input_bytes", "input_records", "output_bytes", "output_records", "shuffle_read_local_blocks",
    "shuffle_read_remote_blocks", "shuffle_read_local_bytes", "shuffle_read_remote_bytes", "shuffle_read_remote_to_disk_bytes",
    "shuffle_read_records", "fetch_wait_ms", "remote_requests_ms", "shuffle_write_bytes", "shuffle_write_records", "shuffle_write_ns",
]  # fmt: skip


def run_of(
    *stages: StageSpec,
    cores: int = 2,
    conf: Mapping[str, str] | None = None,
    executors: int | None = None,
    sql: Sequence[SqlExecution] = (),
    startup_ms: int = 1_000,
    tail_ms: int = 0,
    executor_columns: Mapping[str, Any] | None = None,
    failed_jobs: Mapping[int, str] | None = None,
) -> AppRun:
    """A run of these stages, one job each, one after the other, list-scheduled on the slots. `executors` None: `local[cores]`."""
    slots = cores * (executors or 1)
    now = START + startup_ms
    rows: dict[str, list[int]] = {
        name: []
        for name in (
            "task_id",
            "index",
            "attempt",
            "partition_id",
            "stage_row",
            "executor_row",
            "launch_ms",
            "finish_ms",
            "status",
            "locality",
            "error_row",
        )
    }
    metrics: dict[str, list[int]] = {name: [] for name in METRICS}
    speculative: list[bool] = []
    errors: list[str] = []
    submitted, completed, jobs_from, jobs_to = [], [], [], []
    for row, spec in enumerate(stages):
        now += spec.gap_ms
        jobs_from.append(now)
        submitted.append(now)
        free = [now] * slots
        for i, ms in enumerate(spec.ms):
            own = spec.executors[i] if spec.executors else None
            slot = min(range(slots) if own is None else range(own * cores, (own + 1) * cores), key=lambda s: free[s])
            launch = free[slot]
            free[slot] = launch + ms
            error = spec.errors[i] if spec.errors else ""
            if error and error not in errors:
                errors.append(error)
            for name, value in {
                "task_id": len(rows["task_id"]), "index": spec.index[i] if spec.index else i, "attempt": 0, "partition_id": i, "stage_row": row,
                "executor_row": slot // cores, "launch_ms": launch, "finish_ms": launch + ms, "status": spec.status[i] if spec.status else SUCCESS,
                "locality": spec.locality, "error_row": errors.index(error) if error else MISSING,
            }.items():  # fmt: skip
                rows[name].append(value)
            speculative.append(bool(spec.speculative[i]) if spec.speculative else False)
            for name in METRICS:
                given = spec.columns.get(name, ms if name == "run_ms" else 0)
                metrics[name].append(given if isinstance(given, int) else int(given[i]))
        now = max([now, *free])
        completed.append(now)
        jobs_to.append(now)
    ended = now + tail_ms
    n = len(rows["task_id"])
    tasks = TaskTable(
        **{name: _column(values) for name, values in rows.items()},
        getting_result_ms=np.zeros(n, dtype=np.int64),
        speculative=np.array(speculative, dtype=np.bool_),
        has_metrics=np.ones(n, dtype=np.bool_),
        **{name: _column(values) for name, values in metrics.items()},
    )
    k = len(stages)
    nobody = np.zeros(k, dtype=np.bool_)
    stage_table = StageTable(
        stage_id=np.arange(k, dtype=np.int64), attempt=_column([s.attempt for s in stages]), submitted_ms=_column(submitted), completed_ms=_column(completed),
        n_tasks=_column([s.n_tasks if s.n_tasks is not None else len(s.ms) for s in stages]), failed=nobody, skipped=nobody,
        job_row=np.arange(k, dtype=np.int64), sql_row=_column([s.sql_row for s in stages]), name=tuple(s.name for s in stages), details=("",) * k,
        failure_reason=(None,) * k, parents=tuple(s.parents for s in stages), rdds=((),) * k, pool=("default",) * k, description=(None,) * k,
        resource_profile=np.zeros(k, dtype=np.int64), accumulables=tuple(dict(s.accumulables) for s in stages),
    )  # fmt: skip
    failures = failed_jobs or {}
    jobs = JobTable(
        job_id=np.arange(k, dtype=np.int64), submitted_ms=_column(jobs_from), completed_ms=_column(jobs_to),
        failed=np.array([i in failures for i in range(k)], dtype=np.bool_), sql_row=_column([s.sql_row for s in stages]),
        stage_ids=tuple((i,) for i in range(k)), name=tuple(s.name for s in stages), description=(None,) * k, group=(None,) * k, tags=((),) * k,
        failure=tuple(failures.get(i) for i in range(k)),
    )  # fmt: skip
    master = f"local[{cores}]" if executors is None else "yarn"
    return AppRun(
        app=Application(
            id="app-1", name="test job", user="me", spark_version="4.2.0", started_ms=START, ended_ms=ended, last_event_ms=ended
        ),
        environment=Environment(spark={"spark.master": master, **(conf or {})}),
        tasks=tasks,
        stages=stage_table,
        jobs=jobs,
        executors=_executors(cores, executors, executor_columns or {}),
        sql=tuple(sql),
        errors=tuple(errors),
    )


def _column(values: Sequence[int]) -> IntColumn:
    return np.array(values, dtype=np.int64)


def _executors(cores: int, executors: int | None, columns: Mapping[str, Any]) -> ExecutorTable:
    ids = ["driver"] if executors is None else [str(i) for i in range(executors)]
    n = len(ids)
    base: dict[str, Any] = {
        "added_ms": np.full(n, START + 500, dtype=np.int64), "removed_ms": np.full(n, MISSING, dtype=np.int64), "cores": np.full(n, cores, dtype=np.int64),
        "max_memory_bytes": np.zeros(n, dtype=np.int64), "max_on_heap_bytes": np.zeros(n, dtype=np.int64), "max_off_heap_bytes": np.zeros(n, dtype=np.int64),
        "resource_profile": np.zeros(n, dtype=np.int64), "executor_id": tuple(ids), "host": tuple(f"host-{i}" for i in ids), "removed_reason": (None,) * n,
        "log_urls": ({},) * n, "attributes": ({},) * n, "resources": ({},) * n, "host_port": ("",) * n, "excluded": np.zeros(n, dtype=np.bool_), "peaks": ({},) * n,
    }  # fmt: skip
    return ExecutorTable(**{**base, **columns})


def node(
    name: str, *children: PlanNode, text: str = "", metrics: Mapping[str, int] | None = None, metadata: Mapping[str, str] | None = None
) -> PlanNode:
    """A plan node; `metrics` maps Spark's metric names to accumulator ids."""
    return PlanNode(
        name, text or name, tuple(children), dict(metadata or {}), tuple(PlanMetric(m, a, "sum") for m, a in (metrics or {}).items())
    )


def execution(plan: PlanNode, values: Mapping[int, int], *, sql_id: int = 0, ms: int = 60_000) -> SqlExecution:
    """A SQL execution of this plan with these accumulator totals."""
    return SqlExecution(
        sql_id=sql_id, root_id=sql_id, description="collect at job.py:20", details="", physical_plan="", submitted_ms=START + 1_000,
        completed_ms=START + 1_000 + ms, error=None, first_plan=plan, plan=plan, metrics=dict(values),
    )  # fmt: skip
