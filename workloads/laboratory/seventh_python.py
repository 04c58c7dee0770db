"""A seventh kind in Python: RDDs of text files, groups by the thousand, little memory for workers, workers that crash, streams that call a service per row."""

import os
import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY
from spark_copilot.workloads.laboratory.plan_jobs import noop
from spark_copilot.workloads.laboratory.seventh_jobs import TEXT


def write_packed_lines(spark: Any, data: Path) -> None:
    """One compressed text file of a million lines."""
    lines = spark.range(0, 1_000_000, 1, 1).selectExpr(f"concat_ws(' ', id, id % 90, {TEXT}) as line")
    lines.write.option("compression", "gzip").text(str(data / "lines"))


def lines_by_kind(spark: Any, data: Path) -> None:
    """Lines of a log are taken apart in Python and counted."""

    def kind(line: str) -> tuple[int, int]:
        _number, kind, note = line.split(" ")
        return int(kind), sum(ord(c) for c in note) % 7

    print(spark.sparkContext.textFile(str(data / "lines")).map(kind).reduceByKey(lambda a, b: a + b, 4).collect())


def write_mailbox(_: Any, data: Path) -> None:
    """Thirteen hundred messages, each a file."""
    (data / "mails").mkdir()
    for n in range(1_300):
        (data / "mails" / f"{n}.txt").write_text("".join(f"word{(n * k) % 211} of message {n}\n" for k in range(30)))


def words_of_mails(spark: Any, data: Path) -> None:
    """Words of all messages are counted."""
    words = spark.sparkContext.textFile(str(data / "mails")).flatMap(str.split)
    print(words.map(lambda w: (w, 1)).reduceByKey(lambda a, b: a + b, 4).count())


def shares_of_small_groups(spark: Any, _: Path) -> None:
    """Each order's share of its customer's total, by a pandas function for each of twelve thousand customers."""

    def share(frame: Any) -> Any:
        return frame.assign(share=frame["amount"] / frame["amount"].sum())

    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "id % 12000 as customer", "cast(id % 97 + 1 as double) as amount")
    shares = rows.repartition(8, "customer").groupBy("customer")
    noop(shares.applyInPandas(share, "id long, customer long, amount double, share double"))


def histories_by_customer(spark: Any, _: Path) -> None:
    """Events are grouped by customer in Python."""
    note = "n" * 60
    events = spark.sparkContext.parallelize(range(400_000), 4).map(lambda n: (n % 25_000, f"{n}{note}"))
    print(events.groupByKey(4).mapValues(len).values().sum())


def notes_at_hand(spark: Any, _: Path) -> None:
    """A table becomes a dictionary of the driver, to be looked things up in."""
    rows = spark.range(0, 900_000, 1, 8).selectExpr("id", f"concat({TEXT}, {TEXT}) as note")
    notes = rows.rdd.map(lambda r: (r["id"], r["note"])).collectAsMap()
    print(sum(len(notes[n]) for n in range(0, 900_000, 1_000)))


def library_that_crashes(spark: Any, _: Path) -> None:
    """A library takes the Python process with it on some parts, each the first time."""

    def work(index: int, rows: Any) -> Any:
        from pyspark import TaskContext

        context = TaskContext.get()
        n = sum(1 for _ in rows)
        time.sleep(1.2)
        if context is not None and context.attemptNumber() == 0 and index % 3 == 1:
            os._exit(134)
        yield n

    spark.sparkContext.parallelize(range(9_000), 18).mapPartitionsWithIndex(work).count()


def write_intake_files(spark: Any, data: Path) -> None:
    """Sixteen files of ten thousand rows."""
    spark.range(0, 160_000, 1, 16).selectExpr("id", "id % 5 as kind").write.json(str(data / "files"))


def to_three_places(spark: Any, data: Path) -> None:
    """Each batch of a stream is scored, counted and written to two places."""
    stream = spark.readStream.schema("id long, kind int").option("maxFilesPerTrigger", 4).json(str(data / "files"))

    def take(batch: Any, number: int) -> None:
        scored = batch.selectExpr("id", "kind", HEAVY.format(n=120) + " as score")
        scored.where("score > 150000").write.mode("append").parquet(str(data / "urgent"))
        scored.where("score <= 150000").write.mode("append").parquet(str(data / "rest"))
        print(number, scored.where("kind = 3 and score > 100").count())

    _all_there_is(stream.writeStream.foreachBatch(take), data)


def to_three_places_kept(spark: Any, data: Path) -> None:
    """Each batch is kept while it is used."""
    stream = spark.readStream.schema("id long, kind int").option("maxFilesPerTrigger", 4).json(str(data / "files"))

    def take(batch: Any, number: int) -> None:
        scored = batch.selectExpr("id", "kind", HEAVY.format(n=120) + " as score").persist()
        scored.where("score > 150000").write.mode("append").parquet(str(data / "urgent"))
        scored.where("score <= 150000").write.mode("append").parquet(str(data / "rest"))
        print(number, scored.where("kind = 3 and score > 100").count())
        scored.unpersist()

    _all_there_is(stream.writeStream.foreachBatch(take), data)


def _all_there_is(writer: Any, data: Path) -> None:
    query = writer.option("checkpointLocation", str(data / "checkpoint")).trigger(availableNow=True).start()
    query.awaitTermination()


def write_six_hours(spark: Any, data: Path) -> None:
    """Six files of sales."""
    spark.range(0, 60_000, 1, 6).selectExpr("id", "id % 90 as shop", "hash(id) % 40 as sold").write.json(str(data / "hours"))


def catch_up(spark: Any, data: Path) -> None:
    """A stream works off what came in six hours, an hour at a time, and keeps a total of each shop."""
    stream = spark.readStream.schema("id long, shop int, sold int").option("maxFilesPerTrigger", 1).json(str(data / "hours"))
    totals = stream.groupBy("shop").agg({"sold": "sum", "id": "count"})
    _all_there_is(totals.writeStream.format("noop").outputMode("update"), data)


def row_by_row(spark: Any, data: Path) -> None:
    """A service is called for every row that comes in, and it answers in 25 ms."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 120).load()

    def call(_row: Any) -> None:
        time.sleep(0.025)

    query = stream.writeStream.foreach(call).option("checkpointLocation", str(data / "checkpoint"))
    _for_a_while(query.trigger(processingTime="2 seconds").start(), 38)


def seven_days(spark: Any, data: Path) -> None:
    """Duplicates are dropped within a watermark of seven days."""
    stream = spark.readStream.format("rate").option("rowsPerSecond", 16_000).load()
    keyed = stream.selectExpr("timestamp", "sha2(cast(value as string), 256) as k").withWatermark("timestamp", "7 days")
    query = keyed.dropDuplicatesWithinWatermark(["k"]).writeStream.format("noop").option("checkpointLocation", str(data / "checkpoint"))
    _for_a_while(query.trigger(processingTime="3 seconds").start(), 36)


def _for_a_while(query: Any, seconds: float) -> None:
    time.sleep(seconds)
    query.stop()
