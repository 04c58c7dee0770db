"""An eighth kind: honest work of ten seconds and more, and jobs that look like a fault and are right."""

import time
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY


def write_trips(spark: Any, data: Path) -> None:
    """Eight files of trips as Parquet."""
    trips = spark.range(0, 3_000_000, 1, 8).selectExpr(
        "id", "id % 263 as zone", "id * 31 % 24 as hour", "hash(id) % 4000 + 4000 as fare", "sha2(cast(id as string), 256) as driver"
    )
    trips.write.parquet(str(data / "trips"))


def questions_on_trips(spark: Any, data: Path) -> None:
    """Six different questions to one table of trips, in SQL."""
    spark.read.parquet(str(data / "trips")).createOrReplaceTempView("trips")
    spark.sql("select zone, avg(fare), stddev(fare) from trips group by zone order by zone").collect()
    spark.sql("select hour, percentile_approx(fare, array(0.5, 0.9)) from trips group by hour order by hour").collect()
    spark.sql("select approx_count_distinct(driver) from trips").collect()
    spark.sql("select max(crc32(sha2(concat(driver, fare), 512))), min(sha2(sha2(driver, 512), 512)) from trips").collect()
    spark.sql("select zone, hour, count(*) as n from trips where fare > 500 group by zone, hour order by n desc limit 20").collect()
    spark.sql("select substr(driver, 1, 2) as crew, max(length(translate(upper(driver), 'ABC', 'xyz'))) from trips group by crew").collect()


def two_ledgers(spark: Any, _: Path) -> None:
    """Two ledgers of over a million entries are matched by number, entries missing on either side kept."""
    ours = spark.range(0, 2_600_000, 1, 8).selectExpr("id as entry", "hash(id) as amount", "sha2(cast(id as string), 256) as note")
    theirs = spark.range(40_000, 2_640_000, 1, 8).selectExpr(
        "id as entry", "hash(id) + id % 2 as amount", "sha2(cast(id as string), 256) as mark"
    )
    both = ours.withColumnRenamed("amount", "ours").join(theirs.withColumnRenamed("amount", "theirs"), "entry", "full_outer")
    both.selectExpr(
        "count_if(ours is null)", "count_if(theirs is null)", "count_if(ours <> theirs)", "max(sha2(concat(note, mark), 512))"
    ).collect()


def moving_means(spark: Any, _: Path) -> None:
    """The mean of the last seven readings of each of five hundred meters, each reading corrected first."""
    readings = spark.range(0, 280_000, 1, 8).selectExpr("id", "id % 500 as meter", "id div 500 as at", HEAVY.format(n=160) + " as kwh")
    means = readings.selectExpr(
        "meter", "at", "avg(kwh) over (partition by meter order by at rows between 6 preceding and current row) as mean"
    )
    means.groupBy("meter").agg({"mean": "max"}).orderBy("meter").collect()


def dearest_hundred(spark: Any, _: Path) -> None:
    """Offers are valued, and the hundred dearest are fetched."""
    offers = spark.range(0, 260_000, 1, 12).selectExpr("id", "id % 77 as seller", HEAVY.format(n=170) + " as value")
    print(len(offers.orderBy("value", ascending=False).limit(100).collect()))


def prices_in_euros(spark: Any, _: Path) -> None:
    """A function on whole columns of pandas changes money, which is quick; the rest is Spark's own."""
    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    def change(amount: pd.Series) -> pd.Series:
        return amount * 0.92

    euros = pandas_udf(change, "double")
    prices = spark.range(0, 240_000, 1, 8).selectExpr("id", "id % 30 as kind", HEAVY.format(n=170) + " as dollars")
    prices.groupBy("kind").agg({"dollars": "sum"}).withColumn("euros", euros("sum(dollars)")).orderBy("kind").collect()
    small = spark.range(0, 200_000, 1, 4).selectExpr("id % 9 as k", "cast(id as double) as dollars")
    small.withColumn("euros", euros("dollars")).groupBy("k").agg({"euros": "max"}).collect()


def scores_kept(spark: Any, _: Path) -> None:
    """A costly table is cached, asked three different questions and let go."""
    scores = spark.range(0, 220_000, 1, 8).selectExpr("id", "id % 25 as team", HEAVY.format(n=200) + " as score").cache()
    scores.groupBy("team").agg({"score": "avg"}).orderBy("team").collect()
    scores.selectExpr("percentile_approx(score, 0.9)", "count(*)").collect()
    scores.orderBy("score", ascending=False).select("id", "team").limit(10).collect()
    scores.unpersist()


def write_ten_days(spark: Any, data: Path) -> None:
    """Ten files of bookings, one a day."""
    for day in range(10):
        rows = spark.range(day * 100_000, day * 100_000 + 30_000, 1, 1).selectExpr("id", "id % 15 as branch", "id % 500 as amount")
        rows.write.parquet(str(data / "bookings" / f"2024-05-{day + 1:02}"))


def days_made_good(spark: Any, data: Path) -> None:
    """Ten days of bookings are made again, one after the other, each worked on by all cores and written as one file."""
    for day in range(1, 11):
        rows = spark.read.parquet(str(data / "bookings" / f"2024-05-{day:02}")).repartition(4)
        risk = rows.selectExpr("branch", "amount", HEAVY.format(n=200) + " as risk").groupBy("branch").agg({"risk": "sum", "amount": "max"})
        risk.selectExpr("branch", "`sum(risk)` as risk", "`max(amount)` as amount").write.parquet(str(data / "risk" / f"day={day}"))


def parcels_in_time(spark: Any, data: Path) -> None:
    """A stream of scanned parcels, filtered and appended as Parquet, done long before its next trigger."""
    scans = spark.readStream.format("rate").option("rowsPerSecond", 200).load().selectExpr("value as id", "timestamp", "value % 9 as depot")
    query = (
        scans.where("depot < 7")
        .selectExpr("id", "depot", "timestamp", HEAVY.format(n=200) + " as weight")
        .writeStream.format("parquet")
        .option("path", str(data / "scans"))
        .option("checkpointLocation", str(data / "checkpoint"))
        .trigger(processingTime="6 seconds")
        .start()
    )
    time.sleep(31)
    query.stop()


def towns_and_villages(spark: Any, _: Path) -> None:
    """Sums by place, where a third of all rows are of one town; they are summed before they move."""
    people = spark.range(0, 280_000, 1, 12).selectExpr(
        "id", "if(id % 3 = 0, 'capital', concat('place ', id % 2000)) as place", HEAVY.format(n=160) + " as income"
    )
    people.groupBy("place").agg({"income": "avg", "id": "count"}).orderBy("place").collect()


def tenth_of_all(spark: Any, _: Path) -> None:
    """A sample of a tenth is split into a part to learn from and a part to test on, each summed up once."""
    rows = spark.range(0, 2_600_000, 1, 8).sample(fraction=0.1, seed=7)
    sample = rows.selectExpr("id", "id % 10 as label", HEAVY.format(n=160) + " as x").persist()
    learn, test = sample.randomSplit([0.8, 0.2], seed=11)
    learn.groupBy("label").agg({"x": "avg"}).orderBy("label").collect()
    test.groupBy("label").agg({"x": "stddev"}).orderBy("label").collect()
    sample.unpersist()


def write_old_and_new(spark: Any, data: Path) -> None:
    """Old contracts as CSV in four files, new ones as ORC in four."""
    spark.range(0, 140_000, 1, 4).selectExpr("id", "id % 6 as tariff").write.option("header", True).csv(str(data / "old"))
    spark.range(140_000, 280_000, 1, 4).selectExpr("id", "id % 6 as tariff").write.orc(str(data / "new"))


def old_and_new(spark: Any, data: Path) -> None:
    """Contracts of two systems are put under each other and valued, then summed by tariff."""
    old = spark.read.schema("id long, tariff long").option("header", True).csv(str(data / "old"))
    both = old.unionByName(spark.read.orc(str(data / "new")))
    both.selectExpr("tariff", HEAVY.format(n=160) + " as value").groupBy("tariff").agg({"value": "sum"}).orderBy("tariff").collect()


def baskets_opened(spark: Any, _: Path) -> None:
    """Baskets of three articles are opened, one row an article; revenue and number by article."""
    baskets = spark.range(0, 200_000, 1, 8).selectExpr(
        "id", "array(id % 400, id * 7 % 400, id * 13 % 400) as articles", HEAVY.format(n=200) + " as paid"
    )
    opened = baskets.selectExpr("explode(articles) as article", "paid / 3 as share")
    opened.groupBy("article").agg({"share": "sum"}).orderBy("article").collect()


def hundred_branches(spark: Any, _: Path) -> None:
    """A sum for each of a hundred branches is collected and looked through in Python, twice, for this year and the last."""
    for year in (2023, 2024):
        rows = spark.range(0, 130_000, 1, 8).selectExpr(
            "id", f"(id + {year}) % 100 as branch", HEAVY.format(n=170 if year == 2024 else 140) + " as sales"
        )
        best = max(rows.groupBy("branch").agg({"sales": "sum"}).collect(), key=lambda r: r[1])
        print(year, best)


def regions_gathered(spark: Any, data: Path) -> None:
    """Rows are moved by region before they are written, so that each of four folders gets one file."""
    rows = spark.range(0, 280_000, 1, 8).selectExpr(
        "id", "id % 4 as region", "sha2(cast(id as string), 256) as name", HEAVY.format(n=160) + " as rent"
    )
    rows.repartition(4, "region").write.partitionBy("region").parquet(str(data / "rents"))


def pairs_and_months(spark: Any, _: Path) -> None:
    """Distinct pairs of customer and shop are counted, and sales are turned into a table with a column a month."""
    visits = spark.range(0, 3_000_000, 1, 8).selectExpr("id % 90001 as customer", "id * 7 % 13 as shop", "id % 12 + 1 as month", "id")
    visits.select("customer", "shop").distinct().groupBy("shop").count().orderBy("shop").collect()
    sales = spark.range(0, 180_000, 1, 8).selectExpr(
        "id", "id % 13 as shop", "id div 13 % 12 + 1 as month", HEAVY.format(n=160) + " as amount"
    )
    sales.groupBy("shop").pivot("month", list(range(1, 13))).sum("amount").orderBy("shop").collect()


def routes_in_batches(spark: Any, _: Path) -> None:
    """Distances between points, by numpy on whole batches within each partition."""

    def routes(rows: Any) -> Any:
        import numpy as np

        seeds = list(rows)
        total = 0.0
        for seed in seeds:
            points = np.random.default_rng(seed).random((600, 2))
            apart = np.sqrt(((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2))
            total += float(apart.max())
        yield len(seeds), total

    print(spark.sparkContext.parallelize(range(4_800), 16).mapPartitions(routes).reduce(lambda a, b: (a[0] + b[0], a[1] + b[1])))
