"""An eighth kind: faults as an outside examiner plants them in short runs, by ways that no earlier kind has."""

import gzip
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop

TWO_DIGESTS = "concat(sha2(cast(id as string), 256), sha2(cast(id + 1 as string), 256))"


def by_price_band(spark: Any, _: Path) -> None:
    """Rows are laid out by ranges of a price band that most articles share, and worked on there."""
    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "if(id % 20 < 17, 4, id % 11) as band")
    heavy(rows.repartitionByRange(8, "band"), 200)


def write_regional_exports(_spark: Any, data: Path) -> None:
    """Eight gzip files, one of them of the capital and by far the largest."""
    folder = data / "exports"
    folder.mkdir()
    start = 0
    for region in range(8):
        size = 220_000 if region == 3 else 5_000
        with gzip.open(folder / f"region-{region}.csv.gz", "wt") as out:
            out.writelines(f"{i},{i * 7 % 1013},shop {i % 90}\n" for i in range(start, start + size))
        start += size


def regional_exports(spark: Any, data: Path) -> None:
    """Gzip exports of eight regions are read and priced; nearly all rows are in one file."""
    rows = spark.read.schema("id long, amount int, shop string").csv(str(data / "exports"))
    priced = rows.selectExpr("shop", "amount", HEAVY.format(n=180) + " as price")
    priced.groupBy("shop").agg({"price": "sum", "amount": "max"}).orderBy("shop").collect()


def serial_numbers(spark: Any, _: Path) -> None:
    """Serial numbers are checked by trial division; one delivery consists of large primes and takes many times as long."""

    def check(index: int, rows: Any) -> Any:
        found = 0
        for row in rows:
            found += sum(i * i for i in range(6_000)) % 7
            number = 40_000_000_003 if index == 9 else 2 * row + 40_000_000_000
            divisor = 2
            while divisor * divisor <= number and number % divisor:
                divisor += 1
            found += divisor % 3
        yield found

    print(spark.sparkContext.parallelize(range(16 * 1_200), 16).mapPartitionsWithIndex(check).sum())


def forecast_per_article(spark: Any, _: Path) -> None:
    """Sales are summed by article, and a costly forecast runs over the few thousand sums, which end up in one task."""
    sales = spark.range(0, 1_500_000, 1, 8).selectExpr("id % 3000 as id", "hash(id) % 100 + 100 as amount")
    sums = sales.groupBy("id").agg({"amount": "sum"}).withColumnRenamed("sum(amount)", "amount")
    noop(sums.selectExpr("id", "amount", HEAVY.format(n=10_000) + " as forecast"))


def write_sensor_sheets(_spark: Any, data: Path) -> None:
    """Three thousand sheets of twenty readings."""
    folder = data / "sheets"
    folder.mkdir()
    for sheet in range(3_000):
        lines = "".join(f"{sheet},{i},{(sheet * 31 + i) % 400 / 10}\n" for i in range(20))
        (folder / f"sensor-{sheet}.csv").write_text("sensor,minute,celsius\n" + lines)


def sensor_sheets(spark: Any, data: Path) -> None:
    """A sheet a sensor, read with a header and types to be guessed; the mean and the highest by minute."""
    rows = spark.read.option("header", True).option("inferSchema", True).csv(str(data / "sheets"))
    rows.groupBy("minute").agg({"celsius": "avg", "sensor": "max"}).orderBy("minute").collect()


def catalogue_table(spark: Any, _: Path) -> None:
    """A table made in SQL, partitioned by country and kind, from sixteen tasks that each have rows of all hundred folders."""
    spark.range(0, 96_000, 1, 16).selectExpr(
        "id", "id % 10 as country", "id div 10 % 10 as kind", "uuid() as code"
    ).createOrReplaceTempView("articles")
    spark.sql("create table catalogue using parquet partitioned by (country, kind) as select id, code, country, kind from articles")


def write_messages_by_day(spark: Any, data: Path) -> None:
    """Twenty days of messages as CSV, a folder a day."""
    day = "cast(date_add(date'2024-03-01', cast(id % 20 as int)) as string)"
    rows = spark.range(0, 4_000_000, 1, 4).selectExpr(
        "id",
        f"concat({day}, ' ', lpad(cast(id div 20 % 24 as string), 2, '0'), ':00:00') as sent",
        "sha2(cast(id as string), 256) as digest",
        f"{day} as loaded",
    )
    rows.repartition(20, "loaded").write.partitionBy("loaded").csv(str(data / "messages"))


def one_evening(spark: Any, data: Path) -> None:
    """Two reports on one evening, chosen by the time of sending and not by the day that the folders are named for."""
    messages = spark.read.schema("id long, sent string, digest string, loaded date").csv(str(data / "messages"))
    evening = messages.where("sent >= '2024-03-09 18:00:00' and sent < '2024-03-10 00:00:00'")
    evening.groupBy("sent").agg({"id": "count"}).orderBy("sent").collect()
    evening.selectExpr("substr(digest, 1, 1) as sender", "length(digest) as size").groupBy("sender").agg({"size": "sum"}).collect()


def gaps_between_events(spark: Any, _: Path) -> None:
    """Gaps between all events in order of time, by the DataFrame interface, with one window over everything."""
    from pyspark.sql import Window
    from pyspark.sql.functions import col, lag, ntile

    events = spark.range(0, 3_000_000, 1, 8).selectExpr("id", "cast(hash(id) as bigint) as at")
    order = Window.orderBy("at")
    gaps = events.withColumn("gap", col("at") - lag("at").over(order)).withColumn("tenth", ntile(10).over(order))
    gaps.groupBy("tenth").agg({"gap": "max"}).orderBy("tenth").collect()


def unique_digests(spark: Any, _: Path) -> None:
    """Millions of long strings without repetition made distinct in very little memory."""
    rows = spark.range(0, 3_000_000, 1, 4).selectExpr(f"{TWO_DIGESTS} as digest")
    noop(rows.distinct())


def tags_of_each_item(spark: Any, _: Path) -> None:
    """Lists of tags as objects on the heap, one for each of many items, beside a young generation of 4 MB."""
    tags = spark.range(0, 2_400_000, 1, 4).selectExpr("id % 400000 as item", "concat('tag ', id % 977) as tag")
    tags.groupBy("item").agg({"tag": "collect_list"}).selectExpr("sum(size(`collect_list(tag)`))").collect()


def everything_in_one_list(spark: Any, _: Path) -> None:
    """All rows into a single list in executors with little memory."""
    rows = spark.range(0, 3_600_000, 1, 6).selectExpr(f"concat({TWO_DIGESTS}, {TWO_DIGESTS}) as line")
    print(rows.selectExpr("collect_list(line) as lines").selectExpr("size(lines)").collect())


def tables_for_analysts(spark: Any, _: Path) -> None:
    """Three tables are cached in SQL at the start of the day; only the smallest is asked."""
    spark.sql("cache table shops as select id, id % 12 as area from range(0, 5000, 1, 2)")
    spark.sql(f"cache table clicks as select id, {TWO_DIGESTS} as page from range(0, 1500000, 1, 8)")
    spark.sql(f"cache table mails as select id, {TWO_DIGESTS} as subject from range(2000000, 3200000, 1, 8)")
    spark.sql("select area, count(*) from shops group by area order by area").collect()
    spark.sql("select max(id) from shops where area = 3").collect()
    heavy(spark.range(0, 60_000, 1, 8), 200)


def stamps_read(spark: Any, _: Path) -> None:
    """Time stamps as text are read by strptime, one call a row."""
    from datetime import UTC, datetime

    from pyspark.sql.functions import udf

    read = udf(lambda s: int(datetime.strptime(s, "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC).timestamp()), "long")
    stamps = spark.range(0, 1_200_000, 1, 8).selectExpr("date_format(timestamp_seconds(1700000000 + id), 'dd/MM/yyyy HH:mm:ss') as stamp")
    stamps.select(read("stamp").alias("second")).selectExpr("second div 3600 as hour").groupBy("hour").count().selectExpr(
        "max(count)"
    ).collect()


def photos_on_a_track(spark: Any, _: Path) -> None:
    """Photos are matched with points of a track that are near in time, by a difference and no equality."""
    photos = spark.range(0, 80_000, 1, 8).selectExpr("id as photo", "id * 7919 % 1000000 as taken")
    track = spark.range(0, 30_000, 1, 2).selectExpr("id as point", "id * 104729 % 1000000 as passed")
    near = photos.join(track, (photos.taken - track.passed <= 5) & (track.passed - photos.taken <= 5), "inner")
    near.selectExpr("count(*)", "max(photo)").collect()


def write_article_texts(spark: Any, data: Path) -> None:
    """A list of articles of 17 MB as JSON."""
    articles = spark.range(0, 160_000, 1, 2).selectExpr("id as article", "sha2(cast(id as string), 256) as text", "id % 30 as kind")
    articles.write.json(str(data / "articles"))


def articles_with_texts(spark: Any, data: Path) -> None:
    """Sales get the text of their article; its list lies just over the default threshold, so both sides are sorted."""
    articles = spark.read.schema("article long, text string, kind long").json(str(data / "articles"))
    sales = spark.range(0, 5_000_000, 1, 8).selectExpr("id", "id * 17 % 160000 as article", "sha2(cast(id as string), 256) as receipt")
    noop(sales.join(articles, "article"))


def partners_everywhere(spark: Any, _: Path) -> None:
    """A register of nearly two million partners is sent to every task by a hint in SQL, for some hundred thousand orders."""
    spark.range(0, 300_000, 1, 4).selectExpr("id * 5 as partner", "id % 70 as amount").createOrReplaceTempView("orders")
    spark.range(0, 1_800_000, 1, 4).selectExpr("id as partner", f"{TWO_DIGESTS} as address").createOrReplaceTempView("partners")
    noop(spark.sql("select /*+ mapjoin(p) */ o.partner, o.amount, p.address from orders o join partners p on o.partner = p.partner"))


def subscriptions_by_day(spark: Any, _: Path) -> None:
    """Every subscription is written out as a row for each of its six hundred days, only to count the rows of a day."""
    terms = spark.range(0, 200_000, 1, 8).selectExpr("id", "cast(id % 300 as int) as first")
    days = terms.selectExpr("id", "explode(sequence(first, first + 600)) as day")
    days.groupBy("day").count().selectExpr("max(count)", "min(count)").collect()


def quality_checks(spark: Any, _: Path) -> None:
    """Five checks for missing values, each its own query on a frame that is computed anew."""
    columns = [f"if(hash(id, {i}) % 50 = 0, null, id) as c{i}" for i in range(5)]
    frame = spark.range(0, 50_000, 1, 8).selectExpr("id", HEAVY.format(n=250) + " as score", *columns).where("score > 0")
    for i in range(5):
        print(i, frame.where(f"c{i} is null").count())


def registry_in_a_dict(spark: Any, _: Path) -> None:
    """A whole register as a dictionary in the driver, to look up a hundred entries."""
    rows = spark.range(0, 1_200_000, 1, 8).selectExpr("id", "repeat(sha2(cast(id as string), 256), 3) as entry")
    registry = rows.rdd.map(lambda r: (r[0], r[1])).collectAsMap()
    print(sum(len(registry[i * 1_000]) for i in range(100)))


def letters_rendered(spark: Any, _: Path) -> None:
    """Totals are collected, the driver renders and signs letters by itself, then Spark goes on, and so again."""
    for step in range(2):
        sales = spark.range(0, 50_000, 1, 8).selectExpr("id", f"id % {40 + step} as shop", HEAVY.format(n=150) + " as amount")
        totals = sales.groupBy("shop").agg({"amount": "sum"}).collect()
        until = time.monotonic() + 6
        while time.monotonic() < until:
            for row in totals:
                hashlib.pbkdf2_hmac("sha256", str(row).encode(), b"letter", 2_000)
    heavy(spark.range(0, 40_000, 1, 8), 150)


def uploads_to_the_archive(spark: Any, _: Path) -> None:
    """Parts are sent to an archive that drops four of ten connections at the end of the first try."""

    def send(batches: Any) -> Any:
        from pyspark import TaskContext

        yield from batches
        time.sleep(1.5)
        context = TaskContext.get()
        if context is not None and context.attemptNumber() == 0 and context.partitionId() % 5 in (1, 3):
            raise OSError(f"archive closed the connection of part {context.partitionId()}")

    noop(spark.range(0, 20_000, 1, 20).mapInPandas(send, "id long"))


def settings_as_a_map(spark: Any, _: Path) -> None:
    """After a long step, settings are gathered into maps; one device names a setting twice, which is an error."""
    heavy(spark.range(0, 120_000, 1, 8), 150)
    second = "if(id = 399000, concat('key ', id % 50), 'owner')"
    devices = spark.range(0, 400_000, 1, 8).selectExpr(
        "id", f"map_from_arrays(array(concat('key ', id % 50), {second}), array(1, 2)) as settings"
    )
    noop(devices)


def prices_as_they_come(spark: Any, data: Path) -> None:
    """A stream that prices each offer at length and gets more of them than it can price."""
    offers = spark.readStream.format("rate").option("rowsPerSecond", 3_500).load().selectExpr("value as id", "timestamp")
    query = (
        offers.selectExpr("timestamp", HEAVY.format(n=4_500) + " as price")
        .writeStream.format("noop")
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="2 seconds")
        .start()
    )
    time.sleep(36)
    query.stop()


def lines_in_many_parts(spark: Any, _: Path) -> None:
    """A list of some thousand lines cut into fifteen hundred parts, parsed and counted by kind."""
    lines = [json.dumps({"kind": i % 12, "size": i}) for i in range(30_000)]
    parts = spark.sparkContext.parallelize(lines, 1_500).map(json.loads)
    print(sorted(parts.map(lambda d: (d["kind"], d["size"])).reduceByKey(max, 4).collect()))
