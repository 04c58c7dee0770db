"""Jobs whose fault lies in how data is laid out over tasks: skew, stragglers, partitions, files, windows."""

import time
from pathlib import Path
from typing import Any

HEAVY = "aggregate(sequence(1, {n}), cast(0 as double), (acc, x) -> acc + sqrt(x * id + 1))"
"""A per-row cost in the JVM that the optimiser cannot fold: {n} steps a row."""


def heavy(frame: Any, steps: int = 400) -> None:
    """Run a costly projection over every row and drop the result."""
    frame.selectExpr(HEAVY.format(n=steps) + " as v").write.format("noop").mode("overwrite").save()


def hot_key_shuffle(spark: Any, _: Path) -> None:
    """One key holds most rows, so one shuffle partition holds most work."""
    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "case when id % 10 < 7 then 0 else id % 1000 end as customer")
    heavy(rows.repartition(8, "customer"))


def salted_shuffle(spark: Any, _: Path) -> None:
    """The same rows spread by a salt."""
    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "case when id % 10 < 7 then 0 else id % 1000 end as customer")
    heavy(rows.repartition(8, "customer", "id"))


def hot_key_join(spark: Any, _: Path) -> None:
    """A sort-merge join whose hot key lands in one task that then works on each matched row."""
    left = spark.range(0, 160_000, 1, 4).selectExpr("id", "case when id % 4 < 3 then 7 else id % 150000 end as product_id")
    right = spark.range(0, 150_000, 1, 2).selectExpr("id as product_id", "id * 2 as price")
    heavy(left.join(right.hint("merge"), "product_id"), 600)


def even_join(spark: Any, _: Path) -> None:
    """The same join on even keys."""
    left = spark.range(0, 160_000, 1, 4).selectExpr("id", "id % 150000 as product_id")
    right = spark.range(0, 150_000, 1, 2).selectExpr("id as product_id", "id * 2 as price")
    heavy(left.join(right.hint("merge"), "product_id"), 600)


def slow_lookup(spark: Any, _: Path) -> None:
    """One partition waits for something outside Spark; its rows are as many as the others'."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(14 if index == 5 else 0.7)
        yield n

    spark.sparkContext.parallelize(range(80_000), 16).mapPartitionsWithIndex(work).count()


def even_sleep(spark: Any, _: Path) -> None:
    """Every partition waits equally long."""

    def work(rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(1.0)
        yield n

    spark.sparkContext.parallelize(range(80_000), 16).mapPartitions(work).count()


def slow_first_wave(spark: Any, _: Path) -> None:
    """The first two tasks pay for warm-up; nothing waits for them."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(4.0 if index < 2 else 0.8)
        yield n

    spark.sparkContext.parallelize(range(80_000), 24).mapPartitionsWithIndex(work).count()


def one_partition(spark: Any, _: Path) -> None:
    """All rows in one task while a core stands idle."""
    heavy(spark.range(0, 120_000, 1, 4).coalesce(1), 500)


def two_partitions_and_more(spark: Any, _: Path) -> None:
    """The same work over all cores."""
    heavy(spark.range(0, 120_000, 1, 8), 500)


def low_shuffle_partitions(spark: Any, _: Path) -> None:
    """A shuffle into a single partition by settings."""
    rows = spark.range(0, 120_000, 1, 4).repartition("id")
    heavy(rows, 500)


def global_top(spark: Any, _: Path) -> None:
    """One task by design and a handful of rows: nothing to win."""
    heavy(spark.range(0, 120_000, 1, 8), 300)
    for _i in range(3):
        spark.range(0, 1000, 1, 4).orderBy("id").limit(20).collect()


def crumbs(spark: Any, _: Path) -> None:
    """Thousands of tasks of a few milliseconds."""
    spark.range(0, 200_000, 1, 4).repartition(4_000).selectExpr("sum(id)").collect()


def crumbs_mended(spark: Any, _: Path) -> None:
    """The same sum in eight tasks."""
    spark.range(0, 200_000, 1, 4).repartition(8).selectExpr("sum(id)").collect()


def write_small_gz(spark: Any, data: Path) -> None:
    """One gzip file of some size."""
    frame = spark.range(0, 3_000_000, 1, 1).selectExpr("id", "sha2(cast(id as string), 256) as digest")
    frame.coalesce(1).write.option("compression", "gzip").csv(str(data / "events"))


def write_plain_csv(spark: Any, data: Path) -> None:
    """The same rows as a plain file that splits."""
    frame = spark.range(0, 3_000_000, 1, 1).selectExpr("id", "sha2(cast(id as string), 256) as digest")
    frame.coalesce(1).write.option("compression", "none").csv(str(data / "events"))


def scan_csv(spark: Any, data: Path) -> None:
    """Read and work on each row."""
    frame = spark.read.schema("id long, digest string").csv(str(data / "events"))
    frame.selectExpr("sum(length(sha2(concat(digest, id), 512)))", "sum(length(sha2(concat(id, digest), 384)))").collect()


def write_many_files(spark: Any, data: Path) -> None:
    """Two thousand files of a few rows."""
    spark.range(0, 40_000, 1, 2_000).selectExpr("id", "id % 7 as d").write.parquet(str(data / "events"))


def write_few_files(spark: Any, data: Path) -> None:
    """The same rows in four files."""
    spark.range(0, 40_000, 1, 4).selectExpr("id", "id % 7 as d").write.parquet(str(data / "events"))


def scan_files(spark: Any, data: Path) -> None:
    """Aggregate the table twice."""
    frame = spark.read.parquet(str(data / "events"))
    frame.groupBy("d").count().collect()
    frame.selectExpr("sum(id % 11)").collect()


def spray_files(spark: Any, data: Path) -> None:
    """Every task writes a crumb into every folder."""
    frame = spark.range(0, 60_000, 1, 30).selectExpr("id", "cast(id % 40 as int) as day", "uuid() as u")
    frame.write.partitionBy("day").parquet(str(data / "out"))


def gathered_files(spark: Any, data: Path) -> None:
    """The same table with one file a folder."""
    frame = spark.range(0, 60_000, 1, 30).selectExpr("id", "cast(id % 40 as int) as day", "uuid() as u")
    frame.repartition(8, "day").write.partitionBy("day").parquet(str(data / "out"))


def write_partitioned(spark: Any, data: Path) -> None:
    """A table partitioned by day."""
    frame = spark.range(0, 6_000_000, 1, 4).selectExpr("id", "cast(id % 30 as int) as day", "sha2(cast(id as string), 256) as digest")
    frame.repartition(30, "day").write.partitionBy("day").parquet(str(data / "events"))


def scan_all_days(spark: Any, data: Path) -> None:
    """Asks for one day by an expression that Spark cannot prune by."""
    frame = spark.read.parquet(str(data / "events"))
    for _i in range(4):
        frame.where("concat('d', cast(day as string), substr(digest, 1, 0)) = 'd7'").selectExpr("sum(length(sha2(digest, 512)))").collect()


def scan_one_day(spark: Any, data: Path) -> None:
    """Asks for the same day by the partition column."""
    frame = spark.read.parquet(str(data / "events"))
    for _i in range(4):
        frame.where("day = 7").selectExpr("sum(length(sha2(digest, 512)))").collect()


def global_window(spark: Any, _: Path) -> None:
    """A window without PARTITION BY: every row through one task."""
    rows = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "hash(id) as h")
    rows.selectExpr("id", "sum(h) over (order by h) as running", "rank() over (order by h) as r").write.format("noop").mode(
        "overwrite"
    ).save()


def keyed_window(spark: Any, _: Path) -> None:
    """The same window per key."""
    rows = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "hash(id) as h", "id % 64 as k")
    rows.selectExpr(
        "id", "sum(h) over (partition by k order by h) as running", "rank() over (partition by k order by h) as r"
    ).write.format("noop").mode("overwrite").save()
