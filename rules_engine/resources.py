"""What a run held and for how long: one lease an executor, one for the driver. The ground of idle time, memory time and money."""

from dataclasses import dataclass

import numpy as np

from spark_copilot.rules_engine.facts import MISSING, SUCCESS, AppRun
from spark_copilot.rules_engine.units import parse_bytes, parse_count

GIB = 1 << 30
OVERHEAD_MIN_BYTES = 384 << 20
OVERHEAD_RATIO = 10
"""Spark's defaults: a container gets a tenth of its heap on top, 384 MiB at least."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One process from its start to its end, cut to the application's span. `executor_row` is None for the driver and for the one process of `local[N]`."""

    begin_ms: int
    end_ms: int
    cores: int
    memory_bytes: int
    executor_row: int | None = None

    @property
    def ms(self) -> int:
        """How long it was held."""
        return max(self.end_ms - self.begin_ms, 0)

    @property
    def core_ms(self) -> int:
        """Core time held."""
        return self.ms * self.cores


def executor_leases(run: AppRun) -> list[Lease]:
    """The executors' leases. On `local[N]` the one process counts as an executor of N cores for the whole run; a log that names no executor gives none."""
    if run.local_cores is not None:
        return [Lease(run.started_ms, run.ended_ms, run.local_cores, _bytes(run, "spark.driver.memory"))]
    table, memory = run.executors, executor_bytes(run)
    return [
        Lease(
            max(int(table.added_ms[row]), run.started_ms),
            run.ended_ms if table.removed_ms[row] == MISSING else min(int(table.removed_ms[row]), run.ended_ms),
            int(table.cores[row]),
            memory,
            row,
        )
        for row in np.flatnonzero(~table.is_driver).tolist()
    ]


def driver_lease(run: AppRun) -> Lease | None:
    """The driver of a cluster, from its settings; None on `local[N]`, where it is the executor too."""
    if run.local_cores is not None:
        return None
    cores = parse_count(run.conf("spark.driver.cores", "1") or "1") or 1
    return Lease(run.started_ms, run.ended_ms, cores, _container(run, "driver"))


def executor_bytes(run: AppRun) -> int:
    """Memory of one executor's container: heap, overhead, off-heap and PySpark's share, by its settings and Spark's defaults."""
    extra = 0
    if (run.conf("spark.memory.offHeap.enabled", "false") or "").lower() == "true":
        extra += parse_bytes(run.conf("spark.memory.offHeap.size", "0") or "0") or 0
    extra += parse_bytes(run.conf("spark.executor.pyspark.memory", "0") or "0", "m") or 0
    return _container(run, "executor") + extra


def redone_ms(run: AppRun) -> int:
    """Task time of successful attempts whose partition had already succeeded in the same stage id: work done twice, core time."""
    tasks = run.tasks
    good = np.flatnonzero(tasks.status == SUCCESS)
    if not len(good):
        return 0
    stage = run.stages.stage_id[tasks.stage_row[good]]
    # By launch, so that the first success is the one that counted.
    order = np.lexsort((tasks.launch_ms[good], tasks.index[good], stage))
    same = (np.diff(stage[order]) == 0) & (np.diff(tasks.index[good][order]) == 0)
    return int(tasks.duration_ms[good][order][1:][same].sum()) * run.task_cpus


def _container(run: AppRun, who: str) -> int:
    heap = _bytes(run, f"spark.{who}.memory")
    overhead = parse_bytes(run.conf(f"spark.{who}.memoryOverhead", "") or "", "m")
    return heap + (overhead if overhead is not None else max(heap // OVERHEAD_RATIO, OVERHEAD_MIN_BYTES))


def _bytes(run: AppRun, key: str) -> int:
    return parse_bytes(run.conf(key, "1g") or "1g", "m") or GIB
