"""Jobs that need executors of their own (`local-cluster`): slow nodes, idle and lost executors, speculation, allocation."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CLUSTER = {"spark.master": "local-cluster[3,1,1024]", "spark.executor.memory": "768m", "spark.executor.cores": "1"}


def executor_id() -> str:
    """The executor this Python worker belongs to: its working folder bears the id."""
    return Path.cwd().name


def executor_process() -> int:
    """The JVM above this Python worker."""
    status = Path(f"/proc/{os.getppid()}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def first(mark: str) -> bool:
    """Whether this is the first call with this file, over all workers of a machine."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def waiting_tasks(spark: Any, seconds: Sequence[float]) -> None:
    """A stage of tasks that count their rows and wait: task i as long as `seconds[i]`."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(seconds[index])
        yield n

    spark.sparkContext.parallelize(range(100 * len(seconds)), len(seconds)).mapPartitionsWithIndex(work).count()


def sleep_tasks(spark: Any, tasks: int, seconds: float) -> None:
    """Even tasks that wait."""
    waiting_tasks(spark, [seconds] * tasks)


def tasks_slow_on(spark: Any, executor: str, slow_s: float, usual_s: float, tasks: int) -> None:
    """Two stages of tasks that wait, longer on one executor."""

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(slow_s if executor_id() == executor else usual_s)
        yield n

    for _i in range(2):
        spark.sparkContext.parallelize(range(100 * tasks), tasks).mapPartitions(work).count()


def one_slow_executor(spark: Any, _: Path) -> None:
    """Tasks on executor 1 take four times as long."""
    tasks_slow_on(spark, "1", 4.0, 1.0, 24)


def even_executors(spark: Any, _: Path) -> None:
    """The same work on executors that are alike."""
    for _i in range(2):
        sleep_tasks(spark, 24, 1.0)


def one_core_needed(spark: Any, _: Path) -> None:
    """Long single-task jobs while the other executors hold their cores."""
    for _i in range(6):
        sleep_tasks(spark, 1, 4.0)
    sleep_tasks(spark, 6, 1.0)


def lost_executor(spark: Any, data: Path) -> None:
    """An executor dies with its shuffle files, so a finished stage runs again."""
    mark = str(data / "died")

    def produce(rows: Any) -> Any:
        time.sleep(1.2)
        yield from ((r % 8, r) for r in rows)

    def consume(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(0.8)
        if executor_id() == "1" and first(mark):
            os.kill(executor_process(), signal.SIGKILL)
            time.sleep(5)
        yield n

    pairs = spark.sparkContext.parallelize(range(4_800), 12).mapPartitions(produce)
    pairs.groupByKey(12).mapPartitions(consume).count()


def bursts(spark: Any, _: Path) -> None:
    """Short jobs with pauses just longer than the idle timeout: executors come and go."""
    for _i in range(5):
        sleep_tasks(spark, 6, 1.5)
        time.sleep(5)


def waits_for_locality(spark: Any, _: Path) -> None:
    """Cached blocks on one executor; the scheduler waits for it while the others are free."""
    cached = spark.sparkContext.parallelize(range(100), 1).cache()
    cached.count()  # one block on one executor; every part of the union below prefers that executor

    def slowly(rows: Any) -> Any:
        time.sleep(0.9)
        yield sum(1 for _ in rows)

    for _i in range(2):
        spark.sparkContext.union([cached] * 12).mapPartitions(slowly).count()
