"""A second kind of many faults: the same code, reached by another road."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy


def grouped_hot_key(spark: Any, _: Path) -> None:
    """RDD: one key's group is worked on in Python by one task."""

    def work(group: Any) -> Any:
        key, values = group
        total = 0
        for value in values:
            for step in range(400):
                total += (value * step) % 7
        return key, total

    pairs = spark.sparkContext.parallelize(range(400_000), 8).map(lambda n: (0 if n % 10 < 7 else n % 500, n))
    pairs.groupByKey(8).map(work).count()


def window_on_hot_key(spark: Any, _: Path) -> None:
    """A window whose partition column has one giant group."""
    rows = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "case when id % 10 < 8 then 0 else id % 300 end as k", "hash(id) as h")
    rows.selectExpr(
        "k", "sum(h) over (partition by k order by h, id) as s", "lag(h, 3) over (partition by k order by h, id) as l"
    ).write.format("noop").mode("overwrite").save()


def slow_call_in_udf(spark: Any, _: Path) -> None:
    """A Python function that waits for a slow service on one of the partitions."""
    from pyspark.sql.functions import udf

    def look_up(number: int) -> int:
        if number == 4_321:
            time.sleep(12)
        return number

    rows = spark.range(0, 8_000, 1, 8).repartition(8, "id")
    rows.select(udf(look_up, "long")("id").alias("v")).write.format("noop").mode("overwrite").save()


def coalesce_before_work(spark: Any, data: Path) -> None:
    """One output file wanted, so the whole computation runs in one task."""
    rows = spark.range(0, 90_000, 1, 8).selectExpr("id", HEAVY.format(n=500) + " as v")
    rows.coalesce(1).write.parquet(str(data / "out"))


def rdd_again(spark: Any, _: Path) -> None:
    """Three actions on one RDD that nothing keeps."""

    def work(n: int) -> int:
        total = 0
        for step in range(120):
            total += (n * step) % 7
        return total

    costly = spark.sparkContext.parallelize(range(300_000), 8).map(work)
    print(costly.count(), costly.sum(), costly.max())


def loop_of_small_jobs(spark: Any, _: Path) -> None:
    """A loop in the driver: hundreds of queries of a few milliseconds, and thinking between them."""
    table = spark.range(0, 2_000, 1, 2).selectExpr("id", "id % 50 as store").cache()
    table.count()
    for store in range(60):
        row = table.where(f"store = {store % 50}").selectExpr("sum(id)").collect()
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            hash(str(row) * 50)


def explode_arrays(spark: Any, _: Path) -> None:
    """Long arrays exploded before an aggregate."""
    rows = spark.range(0, 60_000, 1, 8).selectExpr("id", "sequence(1, 600) as steps")
    rows.selectExpr("id", "explode(steps) as step").selectExpr("sum(hash(id, step) % 7)", "count(distinct step)").collect()


def big_closure(spark: Any, _: Path) -> None:
    """Every task carries megabytes that it hardly uses."""
    table = dict.fromkeys(range(120000), "x" * 40)
    rdd = spark.sparkContext.parallelize(range(2_000), 200)
    for _i in range(2):
        rdd.map(lambda n: len(table[n])).sum()


def evicted_cache(spark: Any, _: Path) -> None:
    """More rows cached in memory only than the heap holds; each use computes the lost ones again."""
    from pyspark import StorageLevel

    rows = spark.range(0, 3_800_000, 1, 12).selectExpr("id", "repeat(sha2(cast(id as string), 512), 4) as payload")
    kept = rows.persist(StorageLevel.MEMORY_ONLY)
    for modulus in (3, 5, 7):
        kept.selectExpr(f"sum(length(payload) % {modulus})").collect()


def greedy_task(spark: Any, _: Path) -> None:
    """One group is larger than an executor's heap."""
    rows = spark.range(0, 14_000_000, 1, 4).selectExpr("id % 2 as k", "concat(sha2(cast(id as string), 512), id) as s")
    rows.groupBy("k").agg({"s": "collect_list"}).selectExpr("size(`collect_list(s)`)").collect()


def idle_heap(spark: Any, _: Path) -> None:
    """Light work on executors with a large heap."""
    for _i in range(4):
        heavy(spark.range(0, 20_000, 1, 4), 250)


def late_batches(spark: Any, data: Path) -> None:
    """Each micro-batch takes far longer than the trigger."""
    source = spark.readStream.format("rate").option("rowsPerSecond", 200).load()

    def slowly(batch: Any, _number: int) -> None:
        batch.count()
        time.sleep(3.5)

    query = (
        source.writeStream.foreachBatch(slowly).trigger(processingTime="1 second").option("checkpointLocation", str(data / "ck")).start()
    )
    query.awaitTermination(32)
    query.stop()


def quick_batches(spark: Any, data: Path) -> None:
    """The same stream with batches that end in time."""
    source = spark.readStream.format("rate").option("rowsPerSecond", 200).load()
    query = source.writeStream.format("noop").trigger(processingTime="2 seconds").option("checkpointLocation", str(data / "ck")).start()
    query.awaitTermination(25)
    query.stop()


def endless_state(spark: Any, data: Path) -> None:
    """Deduplication without a watermark: every id is kept for ever."""
    source = spark.readStream.format("rate").option("rowsPerSecond", 6_000).load()
    query = (
        source.dropDuplicates(["value"])
        .writeStream.format("noop")
        .trigger(processingTime="2 seconds")
        .option("checkpointLocation", str(data / "ck"))
        .start()
    )
    query.awaitTermination(35)
    query.stop()
