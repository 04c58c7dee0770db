"""A fourth kind: each fault in code of another habit, and healthy jobs that come close to one."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop


def collected_sessions(spark: Any, _: Path) -> None:
    """Events gathered into lists by user; one user is a crawler. Lists are built after the shuffle, nothing is summed before it."""
    events = spark.range(0, 1_600_000, 1, 8).selectExpr(
        "if(id % 10 < 6, 42, id % 20000) as user", "id as at", "sha2(cast(id as string), 256) as page"
    )
    events.groupBy("user").agg({"page": "collect_list"}).selectExpr(
        "user", "aggregate(`collect_list(page)`, 0L, (a, p) -> a + hash(sha2(p, 256)) % 7) as score"
    ).selectExpr("sum(score)").collect()


def written_by_country(spark: Any, data: Path) -> None:
    """Rows are sent to tasks by a column of which one value is most of the table, then worked on and written."""
    orders = spark.range(0, 300_000, 1, 8).selectExpr("id", "case when id % 10 < 8 then 'DE' else concat('C', id % 40) end as country")
    orders.repartition(8, "country").selectExpr("country", HEAVY.format(n=350) + " as v").write.parquet(str(data / "out"))


def ranked_per_tenant(spark: Any, _: Path) -> None:
    """Each row numbered within its tenant, and all rows kept; one tenant holds half of them."""
    rows = spark.range(0, 3_000_000, 1, 8).selectExpr(
        "if(id % 2 = 0, 1, id % 5000) as tenant", "hash(id) as at", "sha2(cast(id as string), 256) as body"
    )
    noop(rows.selectExpr("*", "row_number() over (partition by tenant order by at, body) as n"))


def wide_groups(spark: Any, _: Path) -> None:
    """An aggregate with as many groups as rows and long values, in little memory."""
    rows = spark.range(0, 1_500_000, 1, 4).selectExpr("sha2(cast(id as string), 256) as k", "repeat(sha2(cast(id as string), 512), 2) as v")
    noop(rows.groupBy("k").agg({"v": "max"}))


def joined_in_little_memory(spark: Any, _: Path) -> None:
    """Two wide tables joined by sorting, in little memory."""
    left = spark.range(0, 900_000, 1, 4).selectExpr("id as k", "repeat(sha2(cast(id as string), 512), 3) as a")
    right = spark.range(0, 900_000, 1, 4).selectExpr("id as k", "repeat(sha2(cast(id * 7 as string), 512), 3) as b")
    noop(left.join(right.hint("merge"), "k"))


def one_output_file(spark: Any, data: Path) -> None:
    """One output file is wanted, so the whole computation runs in one task."""
    spark.range(0, 130_000, 1, 8).selectExpr("id", HEAVY.format(n=400) + " as v").coalesce(1).write.csv(str(data / "out"))


def one_output_file_late(spark: Any, data: Path) -> None:
    """The computation runs on all cores, then few rows go to one file."""
    rows = spark.range(0, 130_000, 1, 8).selectExpr("id % 50 as k", HEAVY.format(n=400) + " as v")
    rows.groupBy("k").agg({"v": "sum"}).coalesce(1).write.csv(str(data / "out"))


def multi_line_json(spark: Any, data: Path) -> None:
    """One JSON array in one file: no reader can split it."""
    frame = spark.read.option("multiLine", "true").schema("id long, name string").json(str(data / "events"))
    frame.selectExpr("sum(length(sha2(concat(name, id), 512)))", "max(sha2(concat(id, name), 512))").collect()


def write_multi_line_json(_: Any, data: Path) -> None:
    """An array of 700,000 objects."""
    (data / "events").mkdir()
    with (data / "events" / "part.json").open("w", encoding="utf-8") as out:
        out.write("[\n")
        for i in range(700_000):
            out.write(f'{"," if i else ""}{{"id": {i}, "name": "customer number {i} of the list with a rather long name"}}\n')
        out.write("]\n")


def a_thousand_partitions(spark: Any, _: Path) -> None:
    """Someone asked for a thousand partitions of a small table, twice."""
    for n in (1_000, 1_200):
        spark.range(0, 50_000, 1, 4).selectExpr("id", "id % 100 as k").repartition(n).groupBy("k").count().collect()


def tiny_day_files(spark: Any, data: Path) -> None:
    """A table of many days with one tiny file each, read whole three times."""
    for column in ("sum(v)", "max(v)", "count(distinct v)"):
        spark.read.parquet(str(data / "days")).selectExpr(column).collect()


def write_tiny_day_files(spark: Any, data: Path) -> None:
    """Seven hundred days."""
    rows = spark.range(0, 14_000, 1, 2).selectExpr("id % 700 as day", "id as v")
    rows.repartition(8, "day").write.partitionBy("day").parquet(str(data / "days"))


def hourly_crumbs(spark: Any, data: Path) -> None:
    """Every task holds rows of every hour and writes a file of each."""
    rows = spark.range(0, 200_000, 1, 24).selectExpr("id", "id % 60 as hour", "sha2(cast(id as string), 256) as body")
    rows.write.partitionBy("hour").parquet(str(data / "out"))


def hourly_gathered(spark: Any, data: Path) -> None:
    """The rows of an hour go to one task first."""
    rows = spark.range(0, 200_000, 1, 24).selectExpr("id", "id % 12 as hour", "sha2(cast(id as string), 256) as body")
    rows.repartition(8, "hour").write.partitionBy("hour").parquet(str(data / "out"))


def no_broadcast_allowed(spark: Any, _: Path) -> None:
    """Broadcasts have been switched off for the whole job, and a dimension of a few KB is sorted and shuffled with the facts."""
    facts = spark.range(0, 5_000_000, 1, 8).selectExpr("id", "id % 500 as shop", "sha2(cast(id as string), 256) as body")
    shops = spark.range(0, 500, 1, 2).selectExpr("id as shop", "concat('shop ', id) as name")
    noop(facts.join(shops, "shop"))


def either_key(spark: Any, _: Path) -> None:
    """Two tables joined on the one key or the other: no equality is left to join by."""
    left = spark.range(0, 25_000, 1, 8).selectExpr("id", "id % 9000 as email", "id % 7001 as phone")
    right = spark.range(0, 16_000, 1, 2).selectExpr("id as rid", "id % 8000 as remail", "id % 6007 as rphone")
    left.join(right, (left.email == right.remail) | (left.phone == right.rphone)).selectExpr("count(*)").collect()


def filtered_by_python(spark: Any, _: Path) -> None:
    """A Python function as the filter of a large table."""
    from pyspark.sql.functions import udf

    good = udf(lambda s: s.startswith("a") and any(c.isdigit() for c in s), "boolean")
    rows = spark.range(0, 2_000_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as s")
    rows.where(good("s")).selectExpr("count(*)").collect()


def vectors_in_python(spark: Any, _: Path) -> None:
    """The same filter over Arrow batches: little is left of the cost of crossing."""
    from pyspark.sql.functions import pandas_udf

    @pandas_udf("boolean")  # type: ignore[call-overload, untyped-decorator, unused-ignore]
    def good(s: Any) -> Any:
        return s.str.startswith("a")

    heavy(spark.range(0, 120_000, 1, 8), 300)
    rows = spark.range(0, 300_000, 1, 8).selectExpr("id", "sha2(cast(id as string), 256) as s")
    rows.where(good("s")).selectExpr("count(*)").collect()


def counted_and_shown(spark: Any, data: Path) -> None:
    """The usual debugging habit: count it, look at it, write it; each time from the start."""
    rows = spark.range(0, 90_000, 1, 8).selectExpr("id", HEAVY.format(n=350) + " as v").where("v > 0")
    print(rows.count(), rows.selectExpr("max(v)").collect())
    print(rows.selectExpr("avg(v)").collect())
    rows.write.parquet(str(data / "out"))


def growing_lineage(spark: Any, _: Path) -> None:
    """Each round builds on the last and counts, without a checkpoint: round n computes n rounds again."""
    frame = spark.range(0, 25_000, 1, 8).selectExpr("id", "cast(id as double) as v")
    for _i in range(7):
        frame = frame.selectExpr("id", "aggregate(sequence(1, 200), v, (acc, x) -> acc + sqrt(x * id + 1)) as v")
        print(frame.selectExpr("sum(v)").collect())


def cached_stages(spark: Any, data: Path) -> None:
    """Healthy: a cleaned table is cached, used by three actions and let go."""
    rows = spark.range(0, 90_000, 1, 8).selectExpr("id", "id % 30 as k", HEAVY.format(n=350) + " as v").cache()
    rows.groupBy("k").agg({"v": "avg"}).collect()
    rows.selectExpr("max(v)", "min(v)").collect()
    rows.write.parquet(str(data / "out"))
    rows.unpersist()


def a_job_a_day(spark: Any, data: Path) -> None:
    """The program asks Spark about one day at a time, ninety times."""
    for day in range(90):
        spark.read.parquet(str(data / "days")).where(f"day = {day}").selectExpr("sum(v)").collect()


def write_ninety_days(spark: Any, data: Path) -> None:
    """Ninety days."""
    rows = spark.range(0, 90_000, 1, 2).selectExpr("id % 90 as day", "id as v")
    rows.repartition(2, "day").write.partitionBy("day").parquet(str(data / "days"))


def to_pandas(spark: Any, _: Path) -> None:
    """A table of a hundred megabytes is taken to pandas and summed there."""
    rows = spark.range(0, 700_000, 1, 8).selectExpr("id", *(f"sha2(cast(id * {n} as string), 256) as c{n}" for n in (3, 5, 7)))
    frame = rows.toPandas()
    print(frame.groupby(frame["id"] % 7)["c3"].count())


def too_much_for_the_driver(spark: Any, _: Path) -> None:
    """The result is larger than the driver may take: the job ends."""
    heavy(spark.range(0, 60_000, 1, 8), 300)
    spark.range(0, 900_000, 1, 8).selectExpr("sha2(cast(id as string), 512) as s").collect()


def divided_by_zero(spark: Any, _: Path) -> None:
    """A division that fails on a row in the middle of the data."""
    rows = spark.range(0, 400_000, 1, 8).selectExpr("id", HEAVY.format(n=100) + " as v")
    rows.selectExpr("sum(id / (id - 300000)) as a", "sum(v)").collect()


def missing_column(spark: Any, data: Path) -> None:
    """Files of an older layout fail in the middle of the scan."""
    rows = spark.read.schema("id long, amount long").parquet(str(data / "mixed"))
    rows.selectExpr("sum(amount)").collect()


def write_mixed_layouts(spark: Any, data: Path) -> None:
    """Six files with a number, one with text of the same name."""
    spark.range(0, 60_000, 1, 6).selectExpr("id", "id * 2 as amount").write.parquet(str(data / "mixed"))
    spark.range(0, 1_000, 1, 1).selectExpr("id", "concat('x', id) as amount").write.mode("append").parquet(str(data / "mixed"))


def running_total(spark: Any, _: Path) -> None:
    """A running sum over the whole table."""
    rows = spark.range(0, 2_000_000, 1, 8).selectExpr("id", "hash(id) as at", "id % 100 as amount")
    noop(rows.selectExpr("at", "sum(amount) over (order by at) as so_far", "lag(amount) over (order by at) as before"))


def more_cache_than_memory(spark: Any, _: Path) -> None:
    """Cached in memory only, more than fits, and used by four actions: most of it is computed every time."""
    from pyspark import StorageLevel

    rows = spark.range(0, 1_600_000, 1, 16).selectExpr("id", *(f"sha2(cast(id + {n} as string), 512) as c{n}" for n in range(4)))
    rows.persist(StorageLevel(False, True, False, True))
    for n in range(4):
        rows.selectExpr(f"max(c{n})", "count(*)").collect()


def duplicated_dimension(spark: Any, _: Path) -> None:
    """A price list with thirty versions of each price joined as if it had one."""
    sales = spark.range(0, 600_000, 1, 8).selectExpr("id", "id % 2000 as product")
    prices = spark.range(0, 60_000, 1, 4).selectExpr("id % 2000 as product", "id div 2000 as version", "id * 3 as price")
    sales.join(prices, "product").selectExpr("sum(hash(price, version, id) % 11)").collect()


def deduplicated_stream(spark: Any, data: Path) -> None:
    """A stream that drops duplicates without a watermark keeps every key it ever saw."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 30_000).load()
    wide = stream.selectExpr("value", "repeat(sha2(cast(value as string), 256), 2) as k")
    query = (
        wide.dropDuplicates(["k"])
        .writeStream.format("noop")
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="3 seconds")
        .start()
    )
    time.sleep(36)
    query.stop()


def calm_stream(spark: Any, data: Path) -> None:
    """Healthy: counts a minute with a watermark, well within the trigger."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 500).load()
    counts = stream.withWatermark("timestamp", "5 seconds").groupBy("timestamp").count()
    query = (
        counts.writeStream.format("noop")
        .outputMode("append")
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="6 seconds")
        .start()
    )
    time.sleep(32)
    query.stop()


def clean_and_load(spark: Any, data: Path) -> None:
    """Healthy: CSV in, casts, a small lookup, an aggregate, Parquet out."""
    raw = spark.read.option("header", "true").csv(str(data / "raw"))
    typed = raw.selectExpr("cast(id as long) id", "cast(amount as double) amount", "cast(shop as int) shop")
    shops = spark.range(0, 40, 1, 1).selectExpr("cast(id as int) as shop", "concat('shop ', id) as name")
    joined = typed.join(shops, "shop").where("amount > 1")
    joined.groupBy("name").agg({"amount": "sum"}).collect()
    joined.write.parquet(str(data / "out"))


def write_raw_csv(spark: Any, data: Path) -> None:
    """Sixteen files of a few MB."""
    rows = spark.range(0, 2_400_000, 1, 16).selectExpr(
        "id", "rand(7) * 100 as amount", "id % 40 as shop", "sha2(cast(id as string), 256) as note"
    )
    rows.write.option("header", "true").csv(str(data / "raw"))


def wanted_explosion(spark: Any, _: Path) -> None:
    """Healthy: orders of three lines each, one row a line."""
    orders = spark.range(0, 500_000, 1, 8).selectExpr("id", "transform(sequence(1, 3), n -> id * n) as parts")
    orders.selectExpr("id", "explode(parts) as part").groupBy("part").count().selectExpr("max(count)").collect()


def self_join(spark: Any, _: Path) -> None:
    """Healthy: each row with its group's mean; the exchange is used twice."""
    rows = spark.range(0, 800_000, 1, 8).selectExpr("id", "id % 4000 as k", "hash(id) % 1000 as v")
    means = rows.groupBy("k").agg({"v": "avg"})
    noop(rows.join(means, "k").selectExpr("id", "v - `avg(v)` as d"))


def a_little_uneven(spark: Any, _: Path) -> None:
    """Healthy: groups differ by half, as everywhere."""
    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "if(id % 20 < 3, 1, id % 1000) as k")
    heavy(rows.repartition(16, "k"), 350)


def three_second_query(spark: Any, _: Path) -> None:
    """Healthy: one small question."""
    spark.range(0, 200_000, 1, 4).selectExpr("id % 10 as k", "id as v").groupBy("k").agg({"v": "sum"}).collect()


def reports_in_threads(spark: Any, _: Path) -> None:
    """Healthy: four reports at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    def report(n: int) -> None:
        rows = spark.range(0, 35_000 + 4_000 * n, 1, 6).selectExpr(f"id % {n + 5} as k", HEAVY.format(n=250 + 20 * n) + " as v")
        noop(rows.groupBy("k").agg({"v": "max"}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, range(4)))
