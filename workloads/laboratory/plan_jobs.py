"""Jobs whose fault lies in the plan, the memory or the driver's own doing."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy


def noop(frame: Any) -> None:
    """Compute every row and keep none."""
    frame.write.format("noop").mode("overwrite").save()


def big_sort(spark: Any, _: Path) -> None:
    """A sort of more than the execution memory holds."""
    rows = spark.range(0, 2_500_000, 1, 4).selectExpr("hash(id) as h", "repeat(sha2(cast(id as string), 256), 2) as payload")
    noop(rows.repartition(2).sortWithinPartitions("h"))


def row_udf(spark: Any, _: Path) -> None:
    """A Python function called row by row."""
    from pyspark.sql.functions import udf

    clean = udf(lambda s: "".join(c for c in s[:40] if c.isalnum()).upper(), "string")
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as s")
    noop(rows.select(clean("s").alias("c")))


def native_expression(spark: Any, _: Path) -> None:
    """The same by Spark's own functions."""
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as s")
    noop(rows.selectExpr("upper(regexp_replace(substr(s, 1, 40), '[^a-zA-Z0-9]', '')) as c"))


def small_udf(spark: Any, _: Path) -> None:
    """A Python function over a handful of rows beside real work."""
    from pyspark.sql.functions import udf

    heavy(spark.range(0, 120_000, 1, 8), 400)
    label = udf(lambda s: f"label {s}", "string")
    spark.range(0, 50, 1, 2).select(label("id")).collect()


def nested_loop(spark: Any, _: Path) -> None:
    """A join without an equality: every pair is tried."""
    left = spark.range(0, 30_000, 1, 8).selectExpr("id", "id % 977 as lo")
    right = spark.range(0, 20_000, 1, 1).selectExpr("id as rid", "id % 991 as hi")
    left.join(right, (left.lo * 3 + 1) > (right.hi * 5 + 900 * 5), "inner").selectExpr("count(*)").collect()


def equi_join(spark: Any, _: Path) -> None:
    """A join on a key."""
    left = spark.range(0, 30_000, 1, 8).selectExpr("id", "id % 977 as lo")
    right = spark.range(0, 20_000, 1, 1).selectExpr("id as rid", "id % 991 as hi")
    left.join(right, left.lo == right.hi, "inner").selectExpr("count(*)").collect()


def shuffled_small_side(spark: Any, _: Path) -> None:
    """A dimension of a few KB joined by sorting both sides."""
    facts = spark.range(0, 8_000_000, 1, 8).selectExpr("id", "id % 2000 as product", "sha2(cast(id as string), 256) as payload")
    names = spark.range(0, 2_000, 1, 2).selectExpr("id as product", "concat('name ', id) as label")
    noop(facts.join(names, "product").selectExpr("id", "label", "payload"))


def huge_broadcast(spark: Any, _: Path) -> None:
    """A side of hundreds of MB sent to every executor by a hint."""
    from pyspark.sql.functions import broadcast

    facts = spark.range(0, 400_000, 1, 4).selectExpr("id as k", "id * 3 as v")
    large = spark.range(0, 2_500_000, 1, 4).selectExpr("id as k", "sha2(cast(id as string), 256) as payload")
    noop(facts.join(broadcast(large), "k"))


def exploding_join(spark: Any, _: Path) -> None:
    """Keys that repeat on both sides: thousands of output rows for one input row."""
    left = spark.range(0, 40_000, 1, 4).selectExpr("id % 20 as k", "id as a")
    right = spark.range(0, 40_000, 1, 4).selectExpr("id % 20 as k", "id as b")
    left.join(right.hint("merge"), "k").selectExpr("sum(hash(a, b))").collect()


def unique_join(spark: Any, _: Path) -> None:
    """The same join on keys that do not repeat."""
    left = spark.range(0, 40_000, 1, 4).selectExpr("id as k", "id as a")
    right = spark.range(0, 40_000, 1, 4).selectExpr("id as k", "id as b")
    left.join(right.hint("merge"), "k").selectExpr("sum(hash(a, b))").collect()


def again_and_again(spark: Any, _: Path) -> None:
    """Three actions on one costly frame that nothing keeps."""
    costly = spark.range(0, 60_000, 1, 8).selectExpr("id", HEAVY.format(n=500) + " as v")
    for limit in (10, 100, 1000):
        costly.where(f"v > {limit}").selectExpr("count(*)", "sum(v)").collect()


def once_and_kept(spark: Any, _: Path) -> None:
    """The same three actions on a cached frame."""
    costly = spark.range(0, 60_000, 1, 8).selectExpr("id", HEAVY.format(n=500) + " as v").cache()
    for limit in (10, 100, 1000):
        costly.where(f"v > {limit}").selectExpr("count(*)", "sum(v)").collect()
    costly.unpersist()


def fetch_everything(spark: Any, _: Path) -> None:
    """Hundreds of MB of rows into the driver."""
    rows = spark.range(0, 1_200_000, 1, 8).selectExpr("id", "repeat(sha2(cast(id as string), 256), 3) as payload")
    print(len(rows.collect()))


def fetch_summary(spark: Any, _: Path) -> None:
    """Only the answer comes to the driver."""
    rows = spark.range(0, 1_200_000, 1, 8).selectExpr("id", "repeat(sha2(cast(id as string), 256), 3) as payload")
    rows.selectExpr("count(*)", "max(payload)").collect()


def cache_for_nothing(spark: Any, _: Path) -> None:
    """Rows cached and never read again."""
    rows = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "repeat(sha2(cast(id as string), 256), 2) as payload").cache()
    rows.count()
    heavy(spark.range(0, 60_000, 1, 8), 400)


def slow_driver(spark: Any, _: Path) -> None:
    """Work in the driver between jobs while every core waits."""
    for step in range(4):
        heavy(spark.range(0, 30_000, 1, 8), 300)
        until = time.monotonic() + 4
        total = step
        while time.monotonic() < until:
            total += sum(range(1000))


def quick_driver(spark: Any, _: Path) -> None:
    """The same jobs back to back."""
    for _step in range(4):
        heavy(spark.range(0, 30_000, 1, 8), 300)


def flaky_tasks(spark: Any, _: Path) -> None:
    """Half the tasks fail at their first attempt after some work."""

    def work(index: int, rows: Any) -> Any:
        from pyspark import TaskContext

        context = TaskContext.get()
        n = sum(1 for _ in rows)
        time.sleep(1.0)
        if context is not None and context.attemptNumber() == 0 and index % 2 == 0:
            raise ValueError(f"lookup service refused partition {index}")
        yield n

    spark.sparkContext.parallelize(range(8_000), 16).mapPartitionsWithIndex(work).count()


def failing_job(spark: Any, _: Path) -> None:
    """One partition can never be read, so the job fails after work was done."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(0.8)
        if index == 9:
            raise ValueError("record 9017 has no customer")
        yield n

    heavy(spark.range(0, 60_000, 1, 8), 400)
    spark.sparkContext.parallelize(range(8_000), 12).mapPartitionsWithIndex(work).count()


def healthy_report(spark: Any, _: Path) -> None:
    """Even work over all cores, a small join, a small answer."""
    orders = spark.range(0, 200_000, 1, 8).selectExpr("id", "id % 40 as store", HEAVY.format(n=250) + " as amount")
    stores = spark.range(0, 40, 1, 1).selectExpr("id as store", "concat('store ', id) as name")
    orders.join(stores, "store").groupBy("name").agg({"amount": "sum"}).orderBy("name").collect()
