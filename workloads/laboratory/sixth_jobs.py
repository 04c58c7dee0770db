"""A sixth kind on `local[2]` and Delta: filters that cannot prune, broadcasts too late or too large, objects by the million, and healthy reports that look odd."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop

_TEXT = "sha2(cast(id as string), 256)"


def objects_in_a_small_heap(spark: Any, _: Path) -> None:
    """Sets of strings by the million in a heap that just holds them."""
    rows = spark.range(0, 2_400_000, 1, 4).selectExpr("id % 9000 as k", f"{_TEXT} as s")
    for _i in range(2):
        rows.groupBy("k").agg({"s": "collect_set"}).selectExpr("max(size(`collect_set(s)`))").collect()


def broadcast_by_hint(spark: Any, _: Path) -> None:
    """A hint broadcasts a table of eight hundred thousand wide rows."""
    wide = spark.range(0, 800_000, 1, 4).selectExpr("id as k", f"concat({_TEXT}, {_TEXT}) as note")
    facts = spark.range(0, 600_000, 1, 8).selectExpr("id * 3 % 800000 as k", "hash(id) as v")
    noop(facts.join(wide.hint("broadcast"), "k"))


def broadcast_too_late(spark: Any, _: Path) -> None:
    """The small side takes longer to make than a broadcast may take."""
    slow = spark.range(0, 30_000, 1, 2).selectExpr("id as k", HEAVY.format(n=2_500) + " as v")
    spark.range(0, 200_000, 1, 4).selectExpr("id % 30000 as k").join(slow.hint("broadcast"), "k").selectExpr("sum(v)").collect()


def file_gone(spark: Any, data: Path) -> None:
    """Somebody replaces the folder after the job has listed it."""
    folder = data / "orders"
    spark.range(0, 100_000, 1, 8).selectExpr("id", "hash(id) as v").write.parquet(str(folder))
    frame = spark.read.parquet(str(folder))
    frame.selectExpr("count(*)").collect()
    for part in list(folder.glob("*.parquet"))[:3]:
        part.unlink()
    heavy(frame, 100)


def write_by_day(spark: Any, data: Path) -> None:
    """Sixty days, a folder each, the time of each row beside the day."""
    rows = spark.range(0, 2_400_000, 1, 8).selectExpr(
        "id",
        "timestamp_seconds(1704067200 + id % 5184000) as at",
        f"{_TEXT} as note",
    )
    rows = rows.selectExpr("*", "cast(at as date) as day").repartition(60, "day")
    rows.write.partitionBy("day").parquet(str(data / "days"))


def filtered_by_time(spark: Any, data: Path) -> None:
    """The filter names the time of a row, not the day by which the folders are laid out, so every folder is read."""
    days = spark.read.parquet(str(data / "days"))
    for n in (3, 17, 40):
        days.where(
            f"at >= timestamp_seconds(1704067200 + {n} * 86400) and at < timestamp_seconds(1704067200 + {n + 1} * 86400)"
        ).selectExpr("count(*)", "max(length(note))").collect()


def buckets_times_tasks(spark: Any, _: Path) -> None:
    """Sixteen tasks write forty buckets each."""
    rows = spark.range(0, 400_000, 1, 16).selectExpr("id", "hash(id) as k")
    rows.write.bucketBy(40, "k").saveAsTable("orders_by_key")


def pandas_per_customer(spark: Any, _: Path) -> None:
    """A pandas function for each customer; one of them has most of the rows."""
    rows = spark.range(0, 1_200_000, 1, 8).selectExpr("if(id % 10 < 9, 0, id % 60) as customer", "hash(id) % 1000 as v")

    def score(frame: Any) -> Any:
        out = frame.groupby("customer", as_index=False)["v"].sum()
        total = 0
        for v in frame["v"].tolist():
            for _i in range(80):
                total = (total * 31 + v) % 1009
        out["v"] = total
        return out

    rows.groupBy("customer").applyInPandas(score, "customer long, v long").selectExpr("sum(v)").collect()


def arrays_of_all_sizes(spark: Any, _: Path) -> None:
    """Sessions are exploded where they lie; those of the robots, all in one part, are a thousand times longer."""
    sessions = spark.range(0, 16_000, 1, 8).selectExpr("id as session", "if(id < 2000, 900, 20) as clicks")
    clicks = sessions.selectExpr("session", "explode(sequence(1, clicks)) as id")
    heavy(clicks, 120)


def rows_through_pandas(spark: Any, _: Path) -> None:
    """Batches come as pandas frames and are walked through row by row."""

    def walk(frames: Any) -> Any:
        for frame in frames:
            out = [(int(row.id), (int(row.v) * 7) % 1000) for _, row in frame.iterrows()]
            yield frame.assign(v=[v for _, v in out])

    rows = spark.range(0, 500_000, 1, 8).selectExpr("id", "hash(id) as v")
    rows.mapInPandas(walk, "id long, v int").selectExpr("sum(v)").collect()


def streams_joined_for_ever(spark: Any, data: Path) -> None:
    """Two streams are joined without a watermark: both sides are kept for ever."""
    left = spark.readStream.format("rate").option("rowsPerSecond", 9_000).load().selectExpr("value as a", "timestamp as t1")
    right = spark.readStream.format("rate").option("rowsPerSecond", 9_000).load().selectExpr("value * 2 as a", "timestamp as t2")
    query = (
        left.join(right, "a")
        .writeStream.format("noop")
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="3 seconds")
        .start()
    )
    time.sleep(50)
    query.stop()


def window_in_little_memory(spark: Any, _: Path) -> None:
    """Windows over groups that are larger than what a task may hold."""
    rows = spark.range(0, 2_600_000, 1, 4).selectExpr("id % 12 as k", "hash(id) as at", f"{_TEXT} as note")
    noop(rows.selectExpr("k", "lag(note) over (partition by k order by at) as before", "note"))


def joined_in_two_thousand(spark: Any, _: Path) -> None:
    """Somebody set two thousand shuffle partitions once; the tables are small now."""
    orders = spark.range(0, 300_000, 1, 4).selectExpr("id", "id % 20000 as customer")
    people = spark.range(0, 20_000, 1, 2).selectExpr("id as customer", "id % 90 as age")
    orders.join(people.hint("merge"), "customer").groupBy("age").count().collect()


def filtered_to_nothing_written(spark: Any, data: Path) -> None:
    """Of six hundred parts a filter leaves some rows each, and all six hundred are written."""
    spark.range(0, 1_200_000, 1, 600).where("hash(id) % 500 = 0").selectExpr("id", f"{_TEXT} as note").write.parquet(str(data / "few"))


def four_outputs(spark: Any, data: Path) -> None:
    """One costly frame, written to four places."""
    scored = spark.range(0, 60_000, 1, 8).selectExpr("id", HEAVY.format(n=400) + " as score")
    for n in range(4):
        scored.where(f"cast(score as bigint) % 4 = {n}").coalesce(2).write.parquet(str(data / f"out{n}"))


def write_folders(spark: Any, data: Path) -> None:
    """Two thousand folders of one small file."""
    rows = spark.range(0, 40_000, 1, 4).selectExpr("id", "id % 2000 as shop")
    rows.repartition(4, "shop").write.partitionBy("shop").parquet(str(data / "shops"))


def folder_by_folder(spark: Any, data: Path) -> None:
    """Each shop's folder is read by a job of its own, a hundred and twenty times."""
    total = 0
    for n in range(120):
        total += spark.read.parquet(str(data / "shops" / f"shop={n}")).count()
    print(total)


def small_after_filter(spark: Any, data: Path) -> None:
    """Of a large table a filter leaves a hundred rows, but the plan goes by the size of the table: both sides are shuffled and sorted."""
    people = spark.read.parquet(str(data / "people")).where("note like 'abc%'")
    facts = spark.range(0, 4_000_000, 1, 8).selectExpr("id % 900000 as person", f"{_TEXT} as text")
    noop(facts.join(people, facts.person == people.id))


def write_people(spark: Any, data: Path) -> None:
    """Nine hundred thousand people, 60 MB."""
    spark.range(0, 900_000, 1, 4).selectExpr("id", f"{_TEXT} as note").write.parquet(str(data / "people"))


def iterated_to_the_driver(spark: Any, _: Path) -> None:
    """All rows come to the driver, part by part, and are summed there."""
    rows = spark.range(0, 1_500_000, 1, 8).selectExpr("id", f"{_TEXT} as note")
    print(sum(len(row["note"]) for row in rows.toLocalIterator()))


def write_delta_stream(spark: Any, data: Path) -> None:
    """Seventy commits of four small files, as a stream leaves them."""
    for n in range(70):
        spark.range(n * 300, n * 300 + 300, 1, 4).selectExpr("id", "id % 90 as sensor", f"{_TEXT} as note").write.format("delta").mode(
            "append"
        ).save(str(data / "table"))


def read_delta_stream(spark: Any, data: Path) -> None:
    """Reports over what a stream left."""
    table = spark.read.format("delta").load(str(data / "table"))
    for n in range(4):
        table.where(f"sensor > {n}").groupBy("sensor").count().selectExpr("max(count)").collect()


def write_delta_events(spark: Any, data: Path) -> None:
    """Forty files, each with events of the whole year."""
    spark.range(0, 5_000_000, 1, 40).selectExpr(
        "id", "date_add('2024-01-01', cast(pmod(hash(id), 366) as int)) as day", f"{_TEXT} as note"
    ).write.format("delta").save(str(data / "table"))


def one_day_of_delta(spark: Any, data: Path) -> None:
    """One day of a table in which every file has all days."""
    table = spark.read.format("delta").load(str(data / "table"))
    for day in ("2024-02-03", "2024-07-19", "2024-11-02"):
        table.where(f"day = '{day}'").selectExpr("count(*)", "max(note)").collect()


def two_large_sides(spark: Any, _: Path) -> None:
    """Healthy: both sides are large and even, so they are sorted and merged."""
    left = spark.range(0, 1_500_000, 1, 8).selectExpr("id as k", f"{_TEXT} as a")
    right = spark.range(0, 1_500_000, 1, 8).selectExpr("id as k", f"{_TEXT} as b")
    left.join(right.hint("merge"), "k").selectExpr("count(*)", "max(a)", "min(b)").collect()


def rolled_up(spark: Any, _: Path) -> None:
    """Healthy: subtotals on three levels, which Spark makes by repeating rows."""
    sales = spark.range(0, 2_000_000, 1, 8).selectExpr("id % 5 as region", "id % 40 as shop", "id % 7 as weekday", "hash(id) % 90 as sold")
    sales.rollup("region", "shop", "weekday").agg({"sold": "sum"}).selectExpr("count(*)").collect()


def counted_distinct(spark: Any, _: Path) -> None:
    """Healthy: three distinct counts in one pass."""
    visits = spark.range(0, 1_200_000, 1, 8).selectExpr(
        "id % 30 as site", "hash(id) % 4000 as user", "id % 900 as page", "id % 60 as agent"
    )
    visits.createOrReplaceTempView("visits")
    spark.sql("select site, count(distinct user), count(distinct page), count(distinct agent) from visits group by site").collect()


def unpivoted(spark: Any, data: Path) -> None:
    """Healthy: columns of a sheet are turned into rows, which is what was asked for."""
    sheet = spark.range(0, 300_000, 1, 8).selectExpr("id", "id % 9 as jan", "id % 8 as feb", "id % 7 as mar", "id % 6 as apr")
    long = sheet.selectExpr("id", "stack(4, 'jan', jan, 'feb', feb, 'mar', mar, 'apr', apr) as (month, v)")
    long.groupBy("month").agg({"v": "sum"}).collect()


def write_day_files(spark: Any, data: Path) -> None:
    """A day of twenty-four files of two MB."""
    spark.range(0, 700_000, 1, 24).selectExpr("id", f"{_TEXT} as note").write.parquet(str(data / "hours"))


def hours_to_a_day(spark: Any, data: Path) -> None:
    """Healthy: the hours of a day gathered into two files."""
    spark.read.parquet(str(data / "hours")).selectExpr("id", "note", "hash(note) as h").coalesce(2).write.parquet(str(data / "day"))


def shop_report(spark: Any, data: Path) -> None:
    """Healthy: views, common tables, a window by shop, one small output."""
    spark.range(0, 1_300_000, 1, 8).selectExpr(
        "id", "id % 300 as shop", "id % 30 as day", "hash(id) % 500 as amount"
    ).createOrReplaceTempView("s")
    spark.range(0, 300, 1, 1).selectExpr("id as shop", "id % 12 as city").createOrReplaceTempView("shops")
    report = spark.sql(
        "with daily as (select shop, day, sum(amount) as total from s group by shop, day), "
        "ranked as (select *, rank() over (partition by shop order by total desc) as place from daily) "
        "select city, avg(total) as mean from ranked join shops using (shop) where place <= 3 group by city order by city"
    )
    report.coalesce(1).write.json(str(data / "report"))


def short_and_even(spark: Any, _: Path) -> None:
    """Healthy: a few seconds of even work on both cores, nothing more."""
    heavy(spark.range(0, 90_000, 1, 4), 500)


def trained_in_rounds(spark: Any, _: Path) -> None:
    """Healthy: twelve rounds over points kept in memory."""
    points = spark.sparkContext.parallelize(range(120_000), 4).map(lambda n: (n % 97, n % 13)).cache()
    points.count()
    weight = 1.0
    for _i in range(12):
        w = weight
        weight += points.map(lambda p, w=w: (p[0] - w * p[1]) * 1e-6).sum() / 120_000
    print(weight)


def two_huge_partitions(spark: Any, _: Path) -> None:
    """Twelve million rows are sorted in two partitions of hundreds of MB."""
    rows = spark.range(0, 12_000_000, 1, 8).selectExpr(f"{_TEXT} as a", "sha2(cast(id + 1 as string), 256) as b")
    noop(rows.repartition(2).sortWithinPartitions("a"))
