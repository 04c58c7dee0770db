"""A seventh kind, on executors of their own: a throttled machine, files that a clean-up takes away, silence, limits of Python's memory, blocks fetched one by one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.cluster_jobs import executor_id, executor_process, first, sleep_tasks
from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop

THROTTLE = """
import os, signal, sys, time
process, until = int(sys.argv[1]), time.monotonic() + 60
try:
    while time.monotonic() < until:
        os.kill(process, signal.SIGSTOP)
        time.sleep(0.45)
        os.kill(process, signal.SIGCONT)
        time.sleep(0.12)
except ProcessLookupError:
    pass
"""
"""Lets a process run a fifth of the time, for a minute at most."""

END = "import os, signal, sys, time; time.sleep(float(sys.argv[2])); os.kill(int(sys.argv[1]), signal.SIGKILL)"
"""Ends a process later."""


def _beside(program: str, *arguments: str) -> None:
    """Start a program that outlives the task."""
    subprocess.Popen(
        [sys.executable, "-c", program, *arguments], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def two_machines(spark: Any, data: Path) -> None:
    """Two costly queries of plain SQL; one executor gets a fifth of a core."""
    mark = str(data / "throttled")

    def meet(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(0.7)
        if executor_id() == "1" and first(mark):
            _beside(THROTTLE, str(executor_process()))
        yield n

    spark.sparkContext.parallelize(range(60), 6).mapPartitions(meet).count()
    for steps in (100, 120):
        spark.range(0, 180_000, 1, 36).selectExpr("id % 30 as k", HEAVY.format(n=steps) + " as v").groupBy("k").agg({"v": "max"}).collect()


def cleaned_away(spark: Any, data: Path) -> None:
    """A clean-up of temporary files takes the shuffle files of a living executor."""
    mark = str(data / "cleaned")

    def produce(rows: Any) -> Any:
        time.sleep(1.3)
        yield from ((r % 12, r) for r in rows)

    def consume(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(0.8)
        if executor_id() == "1" and first(mark):
            for folder in os.environ["SPARK_LOCAL_DIRS"].split(","):
                for file in Path(folder).rglob("shuffle_*"):
                    file.unlink(missing_ok=True)
        yield n

    pairs = spark.sparkContext.parallelize(range(4_800), 12).mapPartitions(produce)
    pairs.groupByKey(12).mapPartitions(consume).count()


def goes_silent(spark: Any, data: Path) -> None:
    """An executor stands still and is given up after fifteen seconds."""
    mark = str(data / "silent")

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(1.1)
        if executor_id() == "2" and first(mark):
            _beside(END, str(executor_process()), "30")
            os.kill(executor_process(), signal.SIGSTOP)
            time.sleep(3)
        yield n

    spark.sparkContext.parallelize(range(2_100), 21).mapPartitions(work).count()


def images_in_memory(spark: Any, _: Path) -> None:
    """Each task keeps all its images until it is done with them."""
    heavy(spark.range(0, 60_000, 1, 8), 100)

    def stack(rows: Any) -> Any:
        import numpy as np

        kept = []
        for n in rows:
            kept.append(np.full((1_000, 1_000), float(n)))
            time.sleep(0.01)
        yield float(sum(image[0, 0] for image in kept))

    print(spark.sparkContext.parallelize(range(1_200), 4).mapPartitions(stack).sum())


def scored_in_python(spark: Any, _: Path) -> None:
    """Models in numpy on executors whose JVM has hardly anything to do."""

    def score(rows: Any) -> Any:
        import numpy as np

        for n in rows:
            matrix = np.random.default_rng(n).random((160, 160))
            yield float(np.linalg.svd(matrix, compute_uv=False)[0])

    for _i in range(3):
        print(spark.sparkContext.parallelize(range(2_600), 16).mapPartitions(score).max())


def many_small_blocks(spark: Any, _: Path) -> None:
    """Events go from three hundred map tasks to a hundred and twenty others."""
    pairs = spark.sparkContext.parallelize(range(120_000), 300).map(lambda n: (n * 7919 % 104_729, n))
    print(pairs.groupByKey(120).mapValues(len).values().sum())


def one_source_many_readers(spark: Any, _: Path) -> None:
    """One task makes the keys; two dozen work on what it sent."""

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(1.1)
        yield n

    spark.sparkContext.parallelize(range(2_400), 1).map(lambda n: (n, n)).partitionBy(24).mapPartitions(work).count()


def gauge(spark: Any, data: Path) -> None:
    """A sensor's readings, one small task every five seconds, on three executors."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 40).option("numPartitions", 1).load()
    query = stream.selectExpr("value % 10 as k", "timestamp").writeStream.format("noop")
    running = query.option("checkpointLocation", str(data / "checkpoint")).trigger(processingTime="5 seconds").start()
    time.sleep(38)
    running.stop()


def wide_and_narrow(spark: Any, _: Path) -> None:
    """Wide steps and narrow ones take turns."""
    for _i in range(4):
        sleep_tasks(spark, 9, 1.2)
        sleep_tasks(spark, 1, 5.0)


def largest_customer(spark: Any, _: Path) -> None:
    """Every row of a customer costs the same; one customer has ten times as many as the others."""

    def work(rows: Any) -> Any:
        n = 0
        for _ in rows:
            n += 1
            time.sleep(0.0045)
        yield n

    for _i in range(2):
        pairs = spark.sparkContext.parallelize(range(4_200), 6).map(lambda n: (n % 11 + 1 if n < 2_200 else 0, n))
        pairs.partitionBy(12, lambda key: int(key)).mapPartitions(work).count()


def three_at_work(spark: Any, data: Path) -> None:
    """Healthy: three executors, busy with even work from the first to the last minute."""
    sleep_tasks(spark, 18, 0.8)
    orders = spark.range(0, 900_000, 1, 9).selectExpr("id", "id % 3000 as k", "hash(id) % 100 as v")
    noop(orders.groupBy("k").agg({"v": "sum"}))
    sleep_tasks(spark, 24, 0.9)
    orders.repartition(3).write.parquet(str(data / "out"))
