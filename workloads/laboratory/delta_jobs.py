"""Jobs on Delta tables: crumbs, queries that skip nothing, rewrites for a few rows. They need Delta's jars (`make parts-delta`)."""

import os
from pathlib import Path
from typing import Any

from spark_copilot.workloads.laboratory.data_jobs import HEAVY

JARS = os.environ.get("SPARK_COPILOT_DELTA_JARS", "")
"""Comma-separated paths of delta-spark and delta-storage; the Makefile sets it."""

DELTA = {
    "spark.jars": JARS,
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    "spark.driver.memory": "2g",
}


_COLUMNS = ("id", "id % 1000 as customer", "sha2(cast(id as string), 256) as digest")


def _write(spark: Any, data: Path, rows: int, files: int) -> None:
    spark.range(0, rows, 1, files).selectExpr(*_COLUMNS).write.format("delta").save(str(data / "table"))


def write_crumbs(spark: Any, data: Path) -> None:
    """Eight hundred files of a few rows."""
    _write(spark, data, 40_000, 800)


def write_compact(spark: Any, data: Path) -> None:
    """The same rows in four files."""
    _write(spark, data, 40_000, 4)


def read_twice(spark: Any, data: Path) -> None:
    """Two aggregates over the whole table."""
    frame = spark.read.format("delta").load(str(data / "table"))
    frame.groupBy("customer").count().selectExpr("max(count)").collect()
    frame.selectExpr("sum(length(digest))", "count(distinct customer)").collect()


def write_mixed(spark: Any, data: Path) -> None:
    """Forty-eight files, every customer in each of them."""
    spark.range(0, 6_000_000, 1, 48).selectExpr(
        "id", "pmod(hash(id), 5000) as customer", "sha2(cast(id as string), 256) as digest"
    ).write.format("delta").save(str(data / "table"))


def write_clustered(spark: Any, data: Path) -> None:
    """The same rows, each file a range of customers."""
    rows = spark.range(0, 6_000_000, 1, 48).selectExpr("id", "pmod(hash(id), 5000) as customer", "sha2(cast(id as string), 256) as digest")
    rows.repartitionByRange(48, "customer").write.format("delta").save(str(data / "table"))


def one_customer(spark: Any, data: Path) -> None:
    """Rows of one customer, three times over."""
    frame = spark.read.format("delta").load(str(data / "table"))
    for customer in (17, 940, 3_333):
        frame.where(f"customer = {customer}").selectExpr("sum(length(sha2(digest, 512)))").collect()


def write_wide(spark: Any, data: Path) -> None:
    """Rows that a change touches here and there."""
    _write(spark, data, 3_000_000, 12)


def write_wide_with_vectors(spark: Any, data: Path) -> None:
    """The same table with deletion vectors."""
    write_wide(spark, data)
    spark.sql(f"ALTER TABLE delta.`{data / 'table'}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")


def scattered_update(spark: Any, data: Path) -> None:
    """A thousandth of the rows changes, some in every file."""
    spark.sql(f"UPDATE delta.`{data / 'table'}` SET digest = 'gone' WHERE customer = 7")


def scattered_merge(spark: Any, data: Path) -> None:
    """A MERGE of a few thousand changes that hit every file."""
    spark.range(0, 3_000_000, 900).selectExpr("id", "'new' as digest").createOrReplaceTempView("changes")
    spark.sql(f"MERGE INTO delta.`{data / 'table'}` t USING changes c ON t.id = c.id WHEN MATCHED THEN UPDATE SET t.digest = c.digest")


def append_and_report(spark: Any, data: Path) -> None:
    """An append and a report over few files: nothing wrong."""
    rows = spark.range(0, 60_000, 1, 8).selectExpr("id", "id % 1000 as customer", "cast(" + HEAVY.format(n=200) + " as string) as digest")
    rows.write.format("delta").mode("append").save(str(data / "table"))
    spark.read.format("delta").load(str(data / "table")).groupBy("customer").count().selectExpr("max(count)").collect()
