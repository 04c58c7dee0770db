"""What mends the sixth kind: the same work with one setting or one line changed."""

from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY, heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop

_TEXT = "sha2(cast(id as string), 256)"


def filtered_by_day(spark: Any, data: Path) -> None:
    """The filter names the day as well."""
    days = spark.read.parquet(str(data / "days"))
    for n in (3, 17, 40):
        days.where(f"day = date_add('2024-01-01', {n})").where(
            f"at >= timestamp_seconds(1704067200 + {n} * 86400) and at < timestamp_seconds(1704067200 + {n + 1} * 86400)"
        ).selectExpr("count(*)", "max(length(note))").collect()


def buckets_gathered(spark: Any, _: Path) -> None:
    """Rows are brought to the task of their bucket first."""
    rows = spark.range(0, 400_000, 1, 16).selectExpr("id", "hash(id) as k")
    rows.repartition(40, "k").write.bucketBy(40, "k").saveAsTable("orders_by_key")


def sessions_spread(spark: Any, _: Path) -> None:
    """The long sessions are spread before they are exploded."""
    sessions = spark.range(0, 16_000, 1, 8).selectExpr("id as session", "if(id < 2000, 900, 20) as clicks")
    clicks = sessions.repartition(16).selectExpr("session", "explode(sequence(1, clicks)) as id")
    heavy(clicks, 120)


def columns_through_pandas(spark: Any, _: Path) -> None:
    """The same sum on whole columns."""

    def whole(frames: Any) -> Any:
        for frame in frames:
            yield frame.assign(v=(frame["v"] * 7) % 1000)

    rows = spark.range(0, 500_000, 1, 8).selectExpr("id", "hash(id) as v")
    rows.mapInPandas(whole, "id long, v int").selectExpr("sum(v)").collect()


def filtered_and_gathered(spark: Any, data: Path) -> None:
    """The filter's parts are put together before they are written."""
    rows = spark.range(0, 1_200_000, 1, 600).where("hash(id) % 500 = 0").selectExpr("id", f"{_TEXT} as note")
    rows.repartition(2).write.parquet(str(data / "few"))


def four_outputs_of_one(spark: Any, data: Path) -> None:
    """The costly frame is kept while the four places are written."""
    scored = spark.range(0, 60_000, 1, 8).selectExpr("id", HEAVY.format(n=400) + " as score").cache()
    scored.count()
    for n in range(4):
        scored.where(f"cast(score as bigint) % 4 = {n}").coalesce(2).write.parquet(str(data / f"out{n}"))


def broadcast_after_filter(spark: Any, data: Path) -> None:
    """A hint says what the filter leaves."""
    people = spark.read.parquet(str(data / "people")).where("note like 'abc%'")
    facts = spark.range(0, 4_000_000, 1, 8).selectExpr("id % 900000 as person", f"{_TEXT} as text")
    noop(facts.join(people.hint("broadcast"), facts.person == people.id))
