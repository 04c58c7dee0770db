"""A sixth kind, on executors of their own: copies in vain, a neighbour that stands still, heaps that fill, machines that are slow at everything, pools."""

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.cluster_jobs import executor_id, executor_process, first, sleep_tasks, tasks_slow_on, waiting_tasks


def copies_for_nothing(spark: Any, _: Path) -> None:
    """Tasks that honestly take long are copied, and every copy loses."""
    for _i in range(2):
        waiting_tasks(spark, [0.8] * 14 + [7.0] * 2)


def copies_that_win(spark: Any, _: Path) -> None:
    """One machine is slow; copies of its tasks end first elsewhere."""

    tasks_slow_on(spark, "1", 9.0, 0.9, 18)


def neighbour_that_stands_still(spark: Any, data: Path) -> None:
    """While the second stage reads, the executor that holds half of its input stops for nine seconds."""
    mark = str(data / "stopped")

    def produce(rows: Any) -> Any:
        rng = random.Random(7)
        for r in rows:
            yield r % 64, bytes(rng.getrandbits(8) for _i in range(400))
        time.sleep(0.5)

    def consume(index: int, rows: Any) -> Any:
        if executor_id() == "1" and index < 8 and first(mark):
            victim = executor_process()
            os.kill(victim, signal.SIGSTOP)
            time.sleep(9)
            os.kill(victim, signal.SIGCONT)
        n = sum(1 for _ in rows)
        time.sleep(0.3)
        yield n

    pairs = spark.sparkContext.parallelize(range(24_000), 12).mapPartitions(produce)
    pairs.partitionBy(24).mapPartitionsWithIndex(consume).count()


def heap_full_on_executor(spark: Any, _: Path) -> None:
    """Six million strings of one key are gathered in one list, more than the executor's heap holds."""
    rows = spark.range(0, 6_000_000, 1, 6).selectExpr("0 as k", "sha2(cast(id as string), 256) as s")
    rows.groupBy("k").agg({"s": "collect_list"}).selectExpr("size(`collect_list(s)`)").collect()


def killed_from_outside(spark: Any, data: Path) -> None:
    """An executor is killed in the only stage of the run, as a container over its limit is."""
    mark = str(data / "killed")

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(3.0)
        if executor_id() == "2" and first(mark):
            os.kill(executor_process(), signal.SIGKILL)
            time.sleep(5)
        yield n

    spark.sparkContext.parallelize(range(2_400), 24).mapPartitions(work).count()


def slow_at_everything(spark: Any, _: Path) -> None:
    """Executor 2 needs three times as long for each step of three stages."""

    def step(rows: Any) -> Any:
        time.sleep(2.1 if executor_id() == "2" else 0.7)
        yield from rows

    pairs = spark.sparkContext.parallelize(range(4_000), 20).mapPartitions(step).map(lambda n: (n % 50, 1))
    counted = pairs.reduceByKey(lambda a, b: a + b, 16).mapPartitions(step)
    counted.map(lambda kv: (kv[0] % 5, kv[1])).groupByKey(14).mapPartitions(step).count()


def held_while_training(spark: Any, _: Path) -> None:
    """The driver trains a model of its own for half a minute; three executors wait for the next job."""
    sleep_tasks(spark, 12, 1.0)
    time.sleep(30)
    sleep_tasks(spark, 12, 1.0)


def on_and_off(spark: Any, _: Path) -> None:
    """Every few seconds a small job, and between two of them all executors are given back."""
    for n in range(7):
        sleep_tasks(spark, 2 + n % 3, 1.0)
        time.sleep(4)


def grows_with_the_load(spark: Any, _: Path) -> None:
    """Healthy: executors come as work comes and stay as long as it lasts."""
    sleep_tasks(spark, 4, 1.0)
    sleep_tasks(spark, 40, 0.9)
    sleep_tasks(spark, 30, 0.9)


def waits_for_its_block(spark: Any, _: Path) -> None:
    """A table cached by one executor; each pass over it waits for that executor while two others stand idle."""
    table = spark.sparkContext.parallelize(range(400), 2).coalesce(1).cache()
    table.count()

    def pause(rows: Any) -> Any:
        time.sleep(1.3)
        return rows

    for _i in range(3):
        spark.sparkContext.union([table] * 8).mapPartitions(pause).count()


def room_for_ten(spark: Any, _: Path) -> None:
    """Executors of three GB for a job that needs a few MB."""
    for _i in range(3):
        spark.range(0, 60_000, 1, 8).selectExpr("id % 10 as k", "hash(id) as v").groupBy("k").agg({"v": "sum"}).collect()
        sleep_tasks(spark, 8, 1.5)


def _in_threads(spark: Any, pools: tuple[str | None, ...]) -> None:
    from pyspark import InheritableThread

    def run(pool: str | None, seconds: list[float]) -> None:
        if pool:
            spark.sparkContext.setLocalProperty("spark.scheduler.pool", pool)
        waiting_tasks(spark, seconds)

    spark.sparkContext.parallelize(range(8), 4).count()
    loads = ([0.35] * 24, [0.5] * 14, [0.4] * 18)
    started: list[threading.Thread] = []
    for pool, seconds in zip(pools, loads, strict=True):
        started.append(InheritableThread(target=run, args=(pool, seconds)))
        started[-1].start()
        time.sleep(0.3)
    for thread in started:
        thread.join()


def pools_of_a_notebook(spark: Any, _: Path) -> None:
    """Healthy: two pools of a FAIR scheduler, three jobs side by side."""
    _in_threads(spark, ("reports", "adhoc", "reports"))


def one_fair_pool(spark: Any, _: Path) -> None:
    """Healthy: three jobs side by side, nobody chose a pool."""
    _in_threads(spark, (None, None, None))
