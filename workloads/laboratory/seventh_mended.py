"""What mends the seventh kind where code has to change."""

from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import heavy
from spark_copilot.workloads.laboratory.plan_jobs import noop
from spark_copilot.workloads.laboratory.seventh_jobs import COSTS, TEXT


def ledger_in_ranges(spark: Any, data: Path) -> None:
    """The table is read by eight queries, each of a range of numbers."""
    url = f"jdbc:derby:{data / 'ledger'}"
    heavy(spark.read.jdbc(url, "entries", column="id", lowerBound=0, upperBound=110_000, numPartitions=8), 450)


def none_alike(spark: Any, _: Path) -> None:
    """The same question with NOT EXISTS."""
    visitors = spark.range(0, 30_000, 1, 8).selectExpr("id", "nullif(id % 40000, 39999) as email", "nullif(id % 30011, 30010) as phone")
    blocked = spark.range(0, 12_000, 1, 2).selectExpr("nullif(id * 3, -1) as email", "nullif(id * 5, -1) as phone")
    visitors.createOrReplaceTempView("visitors")
    blocked.createOrReplaceTempView("blocked")
    spark.sql(
        "select count(*) from visitors v where not exists (select 1 from blocked b where b.email = v.email and b.phone = v.phone)"
    ).collect()


def priced_sales_unhinted(spark: Any, _: Path) -> None:
    """The hint is gone."""
    spark.range(0, 3_000_000, 1, 8).selectExpr("id", "id % 800 as item", f"{TEXT} as note").createOrReplaceTempView("sales")
    spark.range(0, 800, 1, 1).selectExpr("id as item", "id * 1.5 as price").createOrReplaceTempView("prices")
    noop(spark.sql("select s.id, s.note, p.price from sales s join prices p on s.item = p.item"))


def long_histories_dealt(spark: Any, _: Path) -> None:
    """Customers are dealt out over the tasks before their histories are valued."""
    noop(spark.range(0, 64_000, 1, 16).repartition(16).selectExpr("id", COSTS))


def shares_by_window(spark: Any, _: Path) -> None:
    """The share by a window of Spark's own."""
    rows = spark.range(0, 240_000, 1, 8).selectExpr("id", "id % 12000 as customer", "cast(id % 97 + 1 as double) as amount")
    shares = rows.repartition(8, "customer")
    noop(shares.selectExpr("id", "customer", "amount", "amount / sum(amount) over (partition by customer) as share"))
