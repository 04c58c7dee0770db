"""A third kind: faults as they come in everyday code, and healthy jobs of other shapes."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop


def null_keys(spark: Any, _: Path) -> None:
    """A left join on a column that is mostly null: all nulls go to one partition."""
    left = spark.range(0, 200_000, 1, 6).selectExpr("id", "if(id % 10 < 8, null, id % 9000) as ref")
    right = spark.range(0, 9_000, 1, 2).selectExpr("id as ref", "id * 2 as price")
    heavy(left.join(right.hint("merge"), "ref", "left"), 500)


def fat_file(spark: Any, data: Path) -> None:
    """Compressed JSON files of unequal size: the largest is read by one task."""
    frame = spark.read.schema("id long, digest string").json(str(data / "events"))
    frame.selectExpr("sum(length(sha2(concat(digest, id), 512)))", "max(length(sha2(concat(id, digest), 384)))").collect()


def write_fat_file(spark: Any, data: Path) -> None:
    """Seven small gzip files and one large."""
    rows = spark.range(0, 1_600_000, 1, 8).selectExpr(
        "id", "sha2(cast(id as string), 256) as digest", "if(id % 25 > 0, 0, id % 7 + 1) as part"
    )
    rows.repartitionByRange(8, "part").drop("part").write.option("compression", "gzip").json(str(data / "events"))


def one_row_group(spark: Any, data: Path) -> None:
    """A small Parquet file is one task, and the work on each row is heavy."""
    heavy(spark.read.parquet(str(data / "input")), 500)


def write_one_file(spark: Any, data: Path) -> None:
    """One file of a few hundred KB."""
    spark.range(0, 110_000, 1, 1).write.parquet(str(data / "input"))


def spread_first(spark: Any, data: Path) -> None:
    """The same file, spread over the cores before the work."""
    heavy(spark.read.parquet(str(data / "input")).repartition(8), 500)


def numbered_rows(spark: Any, _: Path) -> None:
    """Row numbers over everything."""
    rows = spark.range(0, 2_500_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as h")
    noop(rows.selectExpr("h", "row_number() over (order by h) as n"))


def zipped_rows(spark: Any, _: Path) -> None:
    """A healthy window: many groups of even size."""
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id", "id % 997 as k", "hash(id) as h")
    noop(rows.selectExpr("k", "row_number() over (partition by k order by h) as n"))


def cross_pairs(spark: Any, _: Path) -> None:
    """Every pair of two tables, filtered afterwards by a function of both."""
    left = spark.range(0, 24_000, 1, 8).selectExpr("id as a", "cast(id as string) as s")
    right = spark.range(0, 9_000, 1, 2).selectExpr("id as b", "cast(id * 3 as string) as t")
    left.crossJoin(right).where("levenshtein(substr(s, 1, 2), substr(t, 1, 2)) < 1 and a > b").selectExpr("count(*)").collect()


def pandas_free_rdd(spark: Any, _: Path) -> None:
    """The rows leave the JVM for a Python lambda on an RDD of a DataFrame."""
    rows = spark.range(0, 700_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as s")
    print(rows.rdd.map(lambda r: (r["id"] % 100, len(r["s"].upper()))).reduceByKey(lambda a, b: a + b, 8).count())


def json_parsing_udf(spark: Any, _: Path) -> None:
    """A Python function that parses JSON which Spark can parse itself."""
    import json

    from pyspark.sql.functions import udf

    rows = spark.range(0, 900_000, 1, 8).selectExpr(
        "to_json(named_struct('id', id, 'name', concat('n', id), 'tags', array(id, id + 1))) as j"
    )
    name = udf(lambda j: json.loads(j)["name"], "string")
    noop(rows.select(name("j").alias("n")))


def same_cte_twice(spark: Any, _: Path) -> None:
    """One costly subquery joined with itself, its exchange not reused because a constant differs."""
    base = "select id % 5000 as k, " + HEAVY.format(n=350) + " as v from range(0, 60000, 1, 8)"
    spark.sql(f"select k, max(v) m from ({base}) where v > 1 group by k").selectExpr("sum(m)").collect()
    spark.sql(f"select k, max(v) m from ({base}) where v > 2 group by k").selectExpr("sum(m)").collect()
    spark.sql(f"select k, max(v) m from ({base}) where v > 3 group by k").selectExpr("sum(m)").collect()


def driver_loop_over_rows(spark: Any, _: Path) -> None:
    """Rows come to the driver and are worked on there, one by one."""
    heavy(spark.range(0, 60_000, 1, 8), 300)
    rows = spark.range(0, 60_000, 1, 4).collect()
    until, total = time.monotonic() + 12, 0
    while time.monotonic() < until:
        total += sum(r["id"] % 7 for r in rows[:2_000])
    heavy(spark.range(0, 30_000, 1, 8), 300)


def to_local(spark: Any, _: Path) -> None:
    """A wide result of many rows brought to the driver in one go, twice."""
    rows = spark.range(0, 500_000, 1, 8).selectExpr("id", *(f"sha2(cast(id + {n} as string), 256) as c{n}" for n in range(6)))
    for _i in range(2):
        print(len(rows.collect()))


def json_crumbs(spark: Any, data: Path) -> None:
    """A table of a thousand tiny JSON files."""
    frame = spark.read.schema("id long, d long").json(str(data / "events"))
    frame.groupBy("d").count().collect()
    frame.selectExpr("sum(id)").collect()


def write_json_crumbs(spark: Any, data: Path) -> None:
    """A thousand files of twenty rows."""
    spark.range(0, 20_000, 1, 1_000).selectExpr("id", "id % 7 as d").write.json(str(data / "events"))


def crumbs_by_default(spark: Any, _: Path) -> None:
    """The default of 200 shuffle partitions for a few thousand rows, five queries over, adaptive execution off."""
    for n in range(5):
        spark.range(0, 4_000, 1, 2).selectExpr("id", f"id % {50 + n} as k").groupBy("k").count().orderBy("k").collect()


def many_to_many(spark: Any, _: Path) -> None:
    """Two event tables joined on a key that is unique in neither."""
    a = spark.range(0, 120_000, 1, 6).selectExpr("id % 300 as user", "id as click")
    b = spark.range(0, 90_000, 1, 6).selectExpr("id % 300 as user", "id as view")
    a.join(b, "user").selectExpr("sum(hash(click, view) % 5)").collect()


def sort_in_little_memory(spark: Any, _: Path) -> None:
    """A global sort of wide rows whose partitions do not fit."""
    rows = spark.range(0, 1_800_000, 1, 4).selectExpr(
        "sha2(cast(id as string), 256) as k", "repeat(sha2(cast(id as string), 512), 3) as payload"
    )
    noop(rows.orderBy("k"))


def wasted_cache(spark: Any, _: Path) -> None:
    """Each of three frames is cached and used by one action."""
    for n in range(3):
        frame = spark.range(0, 1_200_000, 1, 8).selectExpr("id", f"repeat(sha2(cast(id + {n} as string), 256), 2) as payload").cache()
        frame.selectExpr("sum(length(payload))").collect()


def overflow_fails(spark: Any, _: Path) -> None:
    """A cast that cannot be done ends the job after work was done."""
    heavy(spark.range(0, 80_000, 1, 8), 300)
    spark.range(0, 1_000_000, 1, 8).selectExpr("cast(concat('x', id) as int) as n").selectExpr("sum(n)").collect()


def retried_lookups(spark: Any, _: Path) -> None:
    """Tasks of a DataFrame job that fail once each and succeed the second time."""
    from pyspark.sql.functions import udf

    def look_up(number: int) -> int:
        from pyspark import TaskContext

        context = TaskContext.get()
        if context is not None and context.attemptNumber() == 0 and context.partitionId() % 3 == 0 and number % 10 == 9:
            time.sleep(0.5)
            raise ConnectionError("the lookup service closed the connection")
        return number

    noop(spark.range(0, 9_000, 1, 12).select(udf(look_up, "long")("id").alias("v")))
    heavy(spark.range(0, 40_000, 1, 8), 300)


def slow_service_in_shuffle(spark: Any, _: Path) -> None:
    """After a shuffle, two of twelve partitions wait for something; their rows are as many as the others'."""

    def work(index: int, rows: Any) -> Any:
        n = sum(1 for _ in rows)
        time.sleep(8 if index in (4, 9) else 0.5)
        yield n

    pairs = spark.sparkContext.parallelize(range(120_000), 6).map(lambda n: (n, n)).partitionBy(12)
    print(pairs.mapPartitionsWithIndex(work).count())


def star_report(spark: Any, _: Path) -> None:
    """A healthy report: facts with two small dimensions, two aggregates, one sort."""
    facts = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "id % 90 as store", "id % 365 as day", "hash(id) % 1000 as amount")
    stores = spark.range(0, 90, 1, 1).selectExpr("id as store", "concat('s', id % 9) as region")
    days = spark.range(0, 365, 1, 1).selectExpr("id as day", "id div 31 as month")
    joined = facts.join(stores, "store").join(days, "day")
    joined.groupBy("region", "month").agg({"amount": "sum", "id": "count"}).orderBy("region", "month").collect()
    noop(joined.groupBy("store", "day").agg({"amount": "avg"}).repartition(8))


def word_count(spark: Any, _: Path) -> None:
    """The classic, over text made here: even tasks, Python on purpose and little of it."""
    lines = spark.range(0, 400_000, 1, 8).selectExpr("concat_ws(' ', 'w' || id % 7, 'w' || id % 11, 'w' || id % 13) as line")
    lines.selectExpr("explode(split(line, ' ')) as w").groupBy("w").count().orderBy("count").collect()


def sorted_export(spark: Any, data: Path) -> None:
    """A healthy export: a sort and eight files of a decent size."""
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as digest")
    rows.repartitionByRange(8, "id").sortWithinPartitions("id").write.parquet(str(data / "out"))


def sampled_training(spark: Any, _: Path) -> None:
    """A healthy iterative job: one cached frame, used by eight passes."""
    points = spark.range(0, 300_000, 1, 8).selectExpr("id", HEAVY.format(n=60) + " as x", "id % 97 as y").cache()
    w = 0.0
    for _i in range(8):
        w = points.selectExpr(f"avg((x - {w:.6f}) * y) as g").collect()[0]["g"] * 1e-6
    points.unpersist()
