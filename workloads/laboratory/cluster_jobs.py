"""Jobs that need executors of their own (`local-cluster`): slow nodes, idle and lost executors, speculation, allocation."""

import os
import signal
import time
from pathlib import Path
from typing import Any

CLUSTER = {"spark.master": "local-cluster[3,1,1024]", "spark.executor.memory": "768m", "spark.executor.cores": "1"}


def executor_id() -> str:
    """The executor this Python worker belongs to: its working folder bears the id."""
    return Path.cwd().name


def sleep_tasks(spark: Any, tasks: int, seconds: float) -> None:
    """Even tasks that wait."""

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(seconds)
        yield n

    spark.sparkContext.parallelize(range(tasks * 100), tasks).mapPartitions(work).count()


def one_slow_executor(spark: Any, _: Path) -> None:
    """Tasks on executor 1 take four times as long."""

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(4.0 if executor_id() == "1" else 1.0)
        yield n

    for _i in range(2):
        spark.sparkContext.parallelize(range(2_400), 24).mapPartitions(work).count()


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
        if executor_id() == "1":
            try:
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                status = Path(f"/proc/{os.getppid()}/status").read_text()
                parent = int(status.split("PPid:")[1].split()[0])
                os.kill(parent, signal.SIGKILL)
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
    cached = spark.sparkContext.parallelize(range(1200), 12).cache()
    cached.count()  # runs as soon as the first executor is there, so all blocks lie on it
    time.sleep(6)

    def slowly(rows: Any) -> Any:
        time.sleep(0.9)
        yield sum(1 for _ in rows)

    for _i in range(2):
        cached.mapPartitions(slowly).count()
