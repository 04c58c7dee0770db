"""The same applications on 1, 2, 4 and 8 executors of one core, for what-if: their tasks wait, so that two real cores can carry eight.

Each begins with a warm-up job over all executors, which the benchmark takes for start-up. `@N` in a scenario's name is the number of executors.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.cluster_jobs import waiting_tasks
from spark_copilot.workloads.laboratory.scenario import Job, Scenario

EXECUTORS = (1, 2, 4, 8)


def _wait(seconds: Sequence[float]) -> Callable[[int, Any], Any]:
    """Tasks that count their rows and wait: task i as long as `seconds[i]`."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(seconds[index % len(seconds)])
        yield n

    return work


def _shuffled(spark: Any, before: Sequence[float], after: Sequence[float]) -> None:
    """Two stages with a shuffle between."""
    rows = spark.sparkContext.parallelize(range(100 * len(before)), len(before)).mapPartitionsWithIndex(_wait(before))
    rows.map(lambda n: (n % 97, n)).partitionBy(len(after)).mapPartitionsWithIndex(_wait(after)).count()


def even(spark: Any, _: Path) -> None:
    """One stage of even tasks."""
    waiting_tasks(spark, [0.7] * 32)


def skewed(spark: Any, _: Path) -> None:
    """One stage whose longest task is a quarter of all."""
    waiting_tasks(spark, [0.5] * 15 + [6.0] + [0.5] * 14)


def chain(spark: Any, _: Path) -> None:
    """Four stages one after the other, fewer tasks each time."""
    for tasks in (16, 12, 6, 3):
        waiting_tasks(spark, [0.6] * tasks)


def shuffle(spark: Any, _: Path) -> None:
    """A shuffle between two even stages."""
    _shuffled(spark, [0.6] * 16, [0.7] * 14)


def skewed_shuffle(spark: Any, _: Path) -> None:
    """A shuffle whose second stage has two long tasks."""
    _shuffled(spark, [0.5] * 16, [0.5] * 5 + [3.0, 3.5] + [0.5] * 9)


def threads(spark: Any, _: Path) -> None:
    """Four jobs at the same time."""
    jobs = [threading.Thread(target=waiting_tasks, args=(spark, [0.6] * n)) for n in (10, 8, 6, 8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def threads_skewed(spark: Any, _: Path) -> None:
    """Three jobs at the same time, one with a long task, then one more. They are submitted in the same order each time: which goes first decides when the long task starts."""
    jobs = [threading.Thread(target=waiting_tasks, args=(spark, s)) for s in ([0.5] * 12, [0.5] * 5 + [5.0], [0.7] * 8)]
    for job in jobs:
        job.start()
        time.sleep(0.2)
    for job in jobs:
        job.join()
    waiting_tasks(spark, [0.5] * 8)


def pauses(spark: Any, _: Path) -> None:
    """Jobs with the driver's own work between."""
    for n in (12, 8, 12):
        waiting_tasks(spark, [0.6] * n)
        time.sleep(2.0)


def mixed(spark: Any, _: Path) -> None:
    """Task times as they come: many short, some long."""
    lots = random.Random(7)
    waiting_tasks(spark, [round(min(lots.lognormvariate(-0.6, 0.7), 4.0), 2) for _i in range(40)])


def small_jobs(spark: Any, _: Path) -> None:
    """Thirty jobs of two short tasks."""
    for _i in range(30):
        waiting_tasks(spark, [0.35, 0.3])


def _with_udf(spark: Any, partitions: int, seconds: float) -> None:
    from pyspark.sql.functions import udf

    def look_up(number: int) -> int:
        if number % 50 == 0:
            time.sleep(seconds)
        return number

    rows = spark.range(0, 50 * partitions, 1, partitions)
    looked = rows.select(udf(look_up, "long")("id").alias("v"))
    looked.groupBy((looked.v % 12).alias("k")).count().collect()
    looked.where("v % 3 = 0").write.format("noop").mode("overwrite").save()


def sql(spark: Any, _: Path) -> None:
    """Two queries that wait in a Python function, adaptive execution on."""
    _with_udf(spark, 16, 0.6)


def sql_static(spark: Any, _: Path) -> None:
    """The same with adaptive execution off."""
    _with_udf(spark, 16, 0.6)


def _ready(job: Job, executors: int) -> Job:
    """The job, once all executors have registered and each has loaded its classes and started a Python worker, in a first job that is start-up too."""

    def run(spark: Any, data: Path) -> None:
        until = time.monotonic() + 90
        while spark._jsc.sc().getExecutorMemoryStatus().size() < executors + 1 and time.monotonic() < until:
            time.sleep(0.2)
        _shuffled(spark, [0.3] * 4 * executors, [0.1] * 2 * executors)
        time.sleep(0.5)
        job(spark, data)

    return run


APPLICATIONS: dict[str, Job] = {
    "even": even,
    "skewed": skewed,
    "chain": chain,
    "shuffle": shuffle,
    "skewed-shuffle": skewed_shuffle,
    "threads": threads,
    "threads-skewed": threads_skewed,
    "pauses": pauses,
    "mixed": mixed,
    "small-jobs": small_jobs,
    "sql": sql,
    "sql-static": sql_static,
}


def _conf(name: str, executors: int) -> dict[str, str]:
    conf = {"spark.master": f"local-cluster[{executors},1,640]", "spark.executor.memory": "512m", "spark.executor.cores": "1"}
    conf |= {"spark.cores.max": str(executors), "spark.sql.shuffle.partitions": "12", "spark.locality.wait": "0"}
    return conf | ({"spark.sql.adaptive.enabled": "false"} if name == "sql-static" else {})


SIZES = {
    f"{name}@{n}": Scenario(f"{name}@{n}", "healthy", _ready(job, n), conf=_conf(name, n))
    for name, job in APPLICATIONS.items()
    for n in EXECUTORS
}
"""Scenario name -> one application on one size."""
