"""A fifth kind: faults of everyday habits (limits, unions, loops of writes and columns, tables without statistics), and healthy jobs of the usual shapes."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop


def default_skewed_join(spark: Any, _: Path) -> None:
    """A hot key in a join under the default adaptive settings: its partition is far below the size that Spark would split."""
    clicks = spark.range(0, 140_000, 1, 8).selectExpr("id", "if(id % 10 < 7, 3, id % 60000) as user")
    users = spark.range(0, 60_000, 1, 2).selectExpr("id as user", "id % 50 as age")
    heavy(clicks.join(users.hint("merge"), "user"), 600)


def grouped_rdd(spark: Any, _: Path) -> None:
    """groupByKey on pairs of which one key is most of all; its list is worked on in Python."""
    pairs = spark.sparkContext.parallelize(range(500_000), 8).map(lambda n: (0 if n % 10 < 7 else n % 500, n))

    def score(item: Any) -> int:
        return sum((v * 31 + 7) % 1009 for v in item[1] for _i in range(120))

    print(pairs.groupByKey(8).map(score).sum())


def limited_first(spark: Any, _: Path) -> None:
    """A limit before costly work would gather the rows in one task; Spark moves the work below the limit, so all cores do it."""
    heavy(spark.range(0, 400_000, 1, 8).limit(110_000), 450)


def union_of_many(spark: Any, _: Path) -> None:
    """One small frame a day for half a year, joined by union: each brings its own tasks."""
    days = [spark.range(n * 50, n * 50 + 50, 1, 6).selectExpr("id", f"{n} as day") for n in range(180)]
    whole = days[0]
    for day in days[1:]:
        whole = whole.union(day)
    whole.groupBy("day").count().selectExpr("max(count)").collect()
    whole.selectExpr("sum(hash(id, day))").collect()


def columns_in_a_loop(spark: Any, _: Path) -> None:
    """Columns added one by one, each looked at by the analyser anew, four times over."""
    for turn in range(4):
        frame = spark.range(0, 20_000, 1, 4).toDF("c0")
        for n in range(1, 130):
            frame = frame.withColumn(f"c{n}", frame["c0"] + n + turn)
        frame.selectExpr("sum(c1 + c50 + c129)").collect()


def appended_bit_by_bit(spark: Any, data: Path) -> None:
    """Fifty small appends of eight files each to one table."""
    for n in range(50):
        spark.range(n * 400, n * 400 + 400, 1, 8).selectExpr("id", "hash(id) as v").write.mode("append").parquet(str(data / "table"))


def side_without_statistics(spark: Any, _: Path) -> None:
    """A handful of rows made from Python objects: Spark knows nothing of their size, and sorts and shuffles the facts to join them."""
    rates = spark.createDataFrame(spark.sparkContext.parallelize([(n, float(n % 7)) for n in range(300)], 2), "currency long, rate double")
    facts = spark.range(0, 4_500_000, 1, 8).selectExpr("id", "id % 300 as currency", "sha2(cast(id as string), 256) as note")
    noop(facts.join(rates, "currency"))


def window_by_constant(spark: Any, _: Path) -> None:
    """A window "partitioned" by a constant."""
    rows = spark.range(0, 2_000_000, 1, 8).selectExpr("id", "hash(id) as score", "1 as everything")
    noop(rows.selectExpr("id", "rank() over (partition by everything order by score desc) as place"))


def slow_batches(spark: Any, data: Path) -> None:
    """Every two seconds a batch is due, and each takes five."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 2_000).load()

    def take(frame: Any, _number: int) -> None:
        noop(frame.selectExpr(HEAVY.format(n=50).replace("id", "value") + " as v"))
        time.sleep(4.5)

    query = (
        stream.writeStream.foreachBatch(take)
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="2 seconds")
        .start()
    )
    time.sleep(34)
    query.stop()


def function_that_raises(spark: Any, _: Path) -> None:
    """A Python function meets a value it does not expect."""
    from pyspark.sql.functions import udf

    heavy(spark.range(0, 60_000, 1, 8), 300)
    parse = udf(lambda s: int(s.split("-")[1]), "int")
    rows = spark.range(0, 50_000, 1, 8).selectExpr("if(id = 31000, 'broken', concat('a-', id)) as s")
    rows.select(parse("s").alias("n")).selectExpr("sum(n)").collect()


def distinct_by_sorting(spark: Any, _: Path) -> None:
    """All rows of two tables are compared by a range, pair by pair."""
    events = spark.range(0, 30_000, 1, 8).selectExpr("id as event", "id * 7 % 100000 as at")
    spans = spark.range(0, 9_000, 1, 2).selectExpr("id as span", "id * 11 % 100000 as begin", "id * 11 % 100000 + 3 as finish")
    events.join(spans, (events.at >= spans.begin) & (events.at < spans.finish)).selectExpr("count(*)").collect()


def two_cores_one_task(spark: Any, _: Path) -> None:
    """The shuffle is told to have a single partition by hand, before the costly step."""
    rows = spark.range(0, 110_000, 1, 8).selectExpr("id", "id % 10 as k")
    heavy(rows.repartition(1), 450)


def lists_to_the_driver(spark: Any, _: Path) -> None:
    """Keys are collected, then looked up one by one in jobs of their own."""
    keys = [row["k"] for row in spark.range(0, 60, 1, 2).selectExpr("id * 3 as k").collect()]
    facts = spark.range(0, 40_000, 1, 2).selectExpr("id", "id % 200 as k").cache()
    for k in keys:
        facts.where(f"k = {k}").count()


def feature_table(spark: Any, data: Path) -> None:
    """Healthy: three aggregates of different tables joined into one, written once."""
    orders = spark.range(0, 1_200_000, 1, 8).selectExpr("id % 20000 as user", "hash(id) % 500 as amount")
    visits = spark.range(0, 900_000, 1, 8).selectExpr("id % 20000 as user", "id % 24 as hour")
    people = spark.range(0, 20_000, 1, 2).selectExpr("id as user", "id % 90 as age")
    table = people.join(orders.groupBy("user").agg({"amount": "sum"}), "user", "left").join(
        visits.groupBy("user").agg({"hour": "avg"}), "user", "left"
    )
    table.repartition(4).write.parquet(str(data / "features"))


def price_summary(spark: Any, _: Path) -> None:
    """Healthy: the classic report over line items."""
    items = spark.range(0, 3_500_000, 1, 8).selectExpr(
        "id",
        "id % 3 as flag",
        "id % 2 as status",
        "id % 50 as quantity",
        "(id % 1000) / 10.0 as price",
        "date_add('1995-01-01', cast(id % 1500 as int)) as shipped",
    )
    items.where("shipped <= '1998-09-02'").groupBy("flag", "status").agg({"quantity": "sum", "price": "avg", "id": "count"}).orderBy(
        "flag", "status"
    ).collect()


def latest_of_each(spark: Any, data: Path) -> None:
    """Healthy: the newest row of each key, by an even window, into a few files."""
    rows = spark.range(0, 900_000, 1, 8).selectExpr("id % 90000 as k", "hash(id) as at", "id")
    rows.selectExpr("*", "row_number() over (partition by k order by at desc) as n").where("n = 1").coalesce(4).write.parquet(
        str(data / "latest")
    )


def one_partition_of_many(spark: Any, data: Path) -> None:
    """Healthy: the filter on the partition column leaves one folder of twelve."""
    frame = spark.read.parquet(str(data / "months")).where("month = 5")
    frame.groupBy("k").agg({"v": "sum"}).collect()


def write_twelve_months(spark: Any, data: Path) -> None:
    """Twelve months of a few MB."""
    rows = spark.range(0, 1_800_000, 1, 8).selectExpr(
        "id % 12 + 1 as month", "id % 70 as k", "hash(id) as v", "sha2(cast(id as string), 256) as note"
    )
    rows.repartition(12, "month").write.partitionBy("month").parquet(str(data / "months"))


def even_pairs(spark: Any, _: Path) -> None:
    """Healthy: an RDD job on purpose, even keys, combined before the shuffle."""
    pairs = spark.sparkContext.parallelize(range(400_000), 8).map(lambda n: (n % 2_000, n % 7))
    print(pairs.reduceByKey(lambda a, b: a + b, 8).map(lambda kv: kv[1]).max())


def pivoted(spark: Any, _: Path) -> None:
    """Healthy: a pivot of known values."""
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id % 400 as shop", "id % 6 as product", "hash(id) % 90 as sold")
    rows.groupBy("shop").pivot("product", [0, 1, 2, 3, 4, 5]).sum("sold").orderBy("shop").collect()


def three_sources(spark: Any, data: Path) -> None:
    """Healthy: three files of one layout read together and written by kind, eight files in all."""
    frames = [spark.read.schema("id long, kind int, v double").json(str(data / name)) for name in ("a", "b", "c")]
    frames[0].union(frames[1]).union(frames[2]).repartition(2, "kind").write.partitionBy("kind").parquet(str(data / "out"))


def write_three_sources(spark: Any, data: Path) -> None:
    """Three folders of four files."""
    for name in ("a", "b", "c"):
        spark.range(0, 250_000, 1, 4).selectExpr("id", "cast(id % 4 as int) as kind", "id / 3.0 as v").write.json(str(data / name))
