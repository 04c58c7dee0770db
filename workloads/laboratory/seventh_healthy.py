"""A seventh kind: healthy jobs as people run them, and jobs that have a little of a fault which costs nothing."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop
from spark_copilot.workloads.laboratory.seventh_jobs import TEXT


def write_raw_orders(spark: Any, data: Path) -> None:
    """Eight files of JSON."""
    rows = spark.range(0, 1_000_000, 1, 8).selectExpr("id", "id % 3 as region", "id % 900 as item", "cast(id % 89 as string) as amount")
    rows.write.json(str(data / "raw"))


def orders_of_the_night(spark: Any, data: Path) -> None:
    """JSON in, cleaned, joined with a small table, two files of Parquet a region out."""
    raw = spark.read.schema("id long, region int, item long, amount string").json(str(data / "raw"))
    clean = raw.where("amount <> '0'").selectExpr("id", "region", "item", "cast(amount as decimal(12, 2)) as amount")
    items = spark.range(0, 900, 1, 1).selectExpr("id as item", "concat('item ', id) as name", "id % 12 as kind")
    clean.join(items, "item").coalesce(2).write.partitionBy("region").parquet(str(data / "clean"))


def quarter_figures(spark: Any, _: Path) -> None:
    """A star of facts and three dimensions in SQL; a running total over the twelve months that remain."""
    spark.range(0, 2_500_000, 1, 8).selectExpr(
        "id", "id % 365 as day_id", "id % 70 as shop_id", "id % 400 as item_id", "hash(id) % 500 + 500 as amount"
    ).createOrReplaceTempView("facts")
    spark.range(0, 365, 1, 1).selectExpr("id as day_id", "id div 31 as month").createOrReplaceTempView("days")
    spark.range(0, 70, 1, 1).selectExpr("id as shop_id", "id % 6 as region").createOrReplaceTempView("shops")
    spark.range(0, 400, 1, 1).selectExpr("id as item_id", "id % 15 as kind").createOrReplaceTempView("items")
    spark.sql(
        "with monthly as (select month, sum(amount) as total from facts join days using (day_id) join shops using (shop_id) "
        "join items using (item_id) where region < 5 and kind < 12 group by month) "
        "select month, total, sum(total) over (order by month) as so_far from monthly order by month"
    ).collect()
    heavy(spark.range(0, 90_000, 1, 8), 150)


def rooms_by_minute(spark: Any, data: Path) -> None:
    """A stream of readings, joined with a table of rooms, summed by ten seconds, well in time."""
    from pyspark.sql.functions import window

    rooms = spark.range(0, 20, 1, 1).selectExpr("id as room", "concat('room ', id) as name")
    readings = spark.readStream.format("rate").option("rowsPerSecond", 300).load().selectExpr("timestamp", "value % 20 as room")
    timed = readings.join(rooms, "room").withWatermark("timestamp", "4 seconds")
    query = (
        timed.groupBy(window("timestamp", "10 seconds"), "name")
        .count()
        .writeStream.format("noop")
        .outputMode("append")
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="5 seconds")
        .start()
    )
    time.sleep(32)
    query.stop()


def write_letters(spark: Any, data: Path) -> None:
    """Six text files of 6 MB."""
    spark.range(0, 420_000, 1, 6).selectExpr(f"concat_ws(' ', id % 700, substr({TEXT}, 1, 3), {TEXT}) as line").write.text(
        str(data / "texts")
    )


def letters_counted(spark: Any, data: Path) -> None:
    """The word count of the books, on RDDs, with an accumulator for empty lines."""
    empty = spark.sparkContext.accumulator(0)

    def words(line: str) -> list[str]:
        if not line:
            empty.add(1)
        return line.split(" ")[:2]

    counts = spark.sparkContext.textFile(str(data / "texts"), 6).flatMap(words).map(lambda w: (w, 1)).reduceByKey(lambda a, b: a + b, 4)
    print(counts.takeOrdered(5, key=lambda kv: -kv[1]), empty.value)


def weights_in_rounds(spark: Any, _: Path) -> None:
    """Gradient descent: blocks of points cached, weights broadcast each round, gradients summed in a tree."""
    import numpy as np

    def block(index: int) -> Any:
        draw = np.random.default_rng(index)
        points = draw.random((20_000, 30))
        return points, points @ np.arange(30.0)

    points = spark.sparkContext.parallelize(range(12), 6).map(block).cache()
    rows = points.map(lambda b: len(b[0])).sum()
    weights = np.zeros(30)
    for _i in range(15):
        sent = spark.sparkContext.broadcast(weights)
        gradient = points.map(lambda b, sent=sent: b[0].T @ (b[0] @ sent.value - b[1])).treeReduce(lambda a, b: a + b)
        weights = weights - 0.05 * gradient / rows
        sent.unpersist()
    print(weights[:3])


def small_question(spark: Any, data: Path) -> None:
    """A run of ten seconds, most of them Spark's own start."""
    spark.range(0, 300_000, 1, 4).selectExpr("id", "id % 9 as k").write.orc(str(data / "small"))
    spark.read.orc(str(data / "small")).groupBy("k").count().orderBy("k").collect()


def digests_of_digests(spark: Any, _: Path) -> None:
    """Long only because it computes much: all cores, even tasks, no waiting."""
    chain = "aggregate(sequence(1, 140), cast(id as string), (acc, x) -> sha2(acc, 256)) as digest"
    spark.range(0, 90_000, 1, 24).selectExpr(chain).selectExpr("max(digest)", "min(digest)").collect()


def few_large_customers(spark: Any, _: Path) -> None:
    """Some customers have far more orders than others, in a step that is over in a moment; the long step is even."""
    orders = spark.range(0, 600_000, 1, 8).selectExpr("id", "if(id % 3 = 0, 5, id % 4000) as customer", "id % 80 as amount")
    orders.repartition(8, "customer").groupBy("customer").agg({"amount": "sum"}).selectExpr("count(*)").collect()
    heavy(spark.range(0, 200_000, 1, 16), 150)


def spilled_a_little(spark: Any, _: Path) -> None:
    """A sort writes some MB aside; it is a second of the run."""
    noop(spark.range(0, 700_000, 1, 4).selectExpr("hash(id) as h", "id").repartition(2).sortWithinPartitions("h"))
    heavy(spark.range(0, 200_000, 1, 16), 150)


def second_try(spark: Any, _: Path) -> None:
    """Three tasks find a service busy, fail at once and succeed at the second try; nothing is lost."""

    def work(index: int, rows: Any) -> Any:
        from pyspark import TaskContext

        context = TaskContext.get()
        if context is not None and context.attemptNumber() == 0 and index in (3, 8, 13):
            raise ConnectionError("busy, try again")
        n = sum(1 for _ in rows)
        time.sleep(0.6)
        yield n

    spark.sparkContext.parallelize(range(9_000), 24).mapPartitionsWithIndex(work).count()
    heavy(spark.range(0, 150_000, 1, 16), 150)


def grid_of_settings(spark: Any, _: Path) -> None:
    """Every pair of two short lists of settings, wanted, and a simulation for each pair."""
    rates = spark.range(0, 80, 1, 1).selectExpr("id / 10.0 as rate")
    terms = spark.range(0, 60, 1, 1).selectExpr("id + 1 as term")
    pairs = rates.crossJoin(terms).repartition(16).selectExpr("rate", "term", "cast(term * 100 + rate as bigint) as id")
    noop(pairs.selectExpr("rate", "term", HEAVY.format(n=7_000) + " as v"))


def names_at_hand(spark: Any, _: Path) -> None:
    """A table of some MB is sent to all tasks, which spares a shuffle of the large one."""
    names = spark.range(0, 150_000, 1, 4).selectExpr("id as person", "concat('name of ', id) as name")
    events = spark.range(0, 5_000_000, 1, 8).selectExpr("id", "id * 13 % 150000 as person", f"{TEXT} as note")
    noop(events.join(names, "person"))


def rounds_cut_short(spark: Any, _: Path) -> None:
    """An iteration that cuts its lineage after every round."""
    frame = spark.range(0, 40_000, 1, 8).selectExpr("id", "cast(id as double) as v")
    for _i in range(6):
        frame = frame.selectExpr("id", "aggregate(sequence(1, 120), v, (acc, x) -> acc + sqrt(x * id + 1)) as v").localCheckpoint()
    print(frame.selectExpr("sum(v)").collect())


def write_delta_months(spark: Any, data: Path) -> None:
    """A year of events, by month."""
    rows = spark.range(0, 400_000, 1, 4).selectExpr("id", "date_add('2024-01-01', cast(id % 366 as int)) as day", f"{TEXT} as note")
    months = rows.selectExpr("*", "month(day) as month").repartition(12, "month")
    months.write.format("delta").partitionBy("month").save(str(data / "table"))


def one_month_again(spark: Any, data: Path) -> None:
    """A month of a Delta table is made again in place, and reported on."""
    rows = spark.range(0, 60_000, 1, 8).selectExpr(
        "id", "date_add('2024-03-01', cast(id % 31 as int)) as day", f"substr(concat({TEXT}, {HEAVY.format(n=250)}), 1, 64) as note"
    )
    target = rows.selectExpr("*", "month(day) as month").repartition(2)
    target.write.format("delta").mode("overwrite").option("replaceWhere", "month = 3").save(str(data / "table"))
    month = spark.read.format("delta").load(str(data / "table")).where("month = 3")
    month.groupBy("day").agg({"note": "max"}).orderBy("day").collect()
