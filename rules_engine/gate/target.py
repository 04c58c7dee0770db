"""What is known of the place a setting will run at. Every part may be unknown; a rule that needs an unknown part stays silent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import total_ordering
from typing import Self

PLATFORMS = (
    "local",
    "yarn",
    "kubernetes",
    "standalone",
    "databricks",
    "emr",
    "emr-serverless",
    "dataproc",
    "dataproc-serverless",
    "glue",
    "thrift",
)


@total_ordering
@dataclass(frozen=True, slots=True)
class SparkVersion:
    """Major and minor: what settings depend on."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The version at the start of a text ("3.5", "4.0.1", "3.5.1-amzn-0"); None when there is none."""
        match = re.match(r"\s*v?(\d{1,2})\.(\d{1,2})(?!\d)", text)
        return cls(int(match[1]), int(match[2])) if match else None

    def __lt__(self, other: "SparkVersion") -> bool:
        return (self.major, self.minor) < (other.major, other.minor)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


@dataclass(frozen=True, slots=True)
class NodeProfile:
    """The machines an executor must fit on; sizes in bytes, None where not stated."""

    cores: int | None = None
    memory_bytes: int | None = None
    yarn_max_bytes: int | None = None
    yarn_max_cores: int | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Spark version, platform, role and the rest. None everywhere means: not known."""

    spark: SparkVersion | None = None
    from_spark: SparkVersion | None = None
    platform: str | None = None
    runtime: str | None = None
    release: str | None = None
    role: str | None = None
    java: int | None = None
    profile: NodeProfile | None = None

    @property
    def java_major(self) -> int | None:
        """The Java asked for; without one, what the Spark version at least needs (17 from 4.0 on)."""
        if self.java is not None:
            return self.java
        return 17 if self.spark is not None and self.spark >= SparkVersion(4, 0) else None

    @property
    def is_test(self) -> bool:
        """Whether the settings are for tests or a developer's machine."""
        return self.role == "test"


_DATABRICKS = {
    "7": "3.0",
    "8": "3.1",
    "9": "3.1",
    "10": "3.2",
    "11": "3.3",
    "12": "3.3",
    "13": "3.4",
    "14": "3.5",
    "15": "3.5",
    "16": "3.5",
    "17": "4.0",
}
_DATABRICKS_MINOR = {"7.4": "3.0", "10.0": "3.2", "12.0": "3.3", "13.0": "3.4", "17.0": "4.0"}
_EMR = (
    ((7, 12), "3.5"), ((7, 0), "3.5"), ((6, 15), "3.4"), ((6, 12), "3.4"), ((6, 8), "3.3"), ((6, 6), "3.2"), ((6, 3), "3.1"), ((6, 1), "3.0"),
    ((6, 0), "2.4"), ((5, 19), "2.4"),
)  # fmt: skip
_GLUE = {"5.1": "3.5", "5.0": "3.5", "4.0": "3.3", "3.0": "3.1", "2.0": "2.4", "1.0": "2.4"}
_DATAPROC = {"2.3": "3.5", "2.2": "3.5", "2.1": "3.3", "2.0": "3.1", "1.5": "2.4", "1.4": "2.4"}
_DATAPROC_SERVERLESS = {"3.0": "4.0", "2.3": "3.5", "2.2": "3.5", "2.1": "3.4", "2.0": "3.3", "1.2": "3.5", "1.1": "3.3", "1.0": "3.2"}


def spark_of_databricks(runtime: str) -> SparkVersion | None:
    """The Spark of a Databricks runtime ("15.4.x-scala2.12")."""
    match = re.match(r"(?:custom:)?(?:release__)?(\d{1,2})\.(\d{1,2})", runtime)
    if match is None or int(match[1]) < 7:
        return None
    return SparkVersion.parse(_DATABRICKS_MINOR.get(f"{match[1]}.{match[2]}") or _DATABRICKS.get(match[1], ""))


def spark_of_emr(release: str) -> SparkVersion | None:
    """The Spark of an EMR release label ("emr-7.5.0")."""
    match = re.match(r"emr-(\d+)\.(\d+)", release)
    if match is None or int(match[1]) > 7:
        return None
    at = (int(match[1]), int(match[2]))
    return next((SparkVersion.parse(spark) for since, spark in _EMR if at >= since), None)


def spark_of(kind: str, version: str) -> SparkVersion | None:
    """The Spark of a vendor's own version number; None when the table does not have it.

    Sources: the release notes of Databricks Runtime, Amazon EMR, AWS Glue and Dataproc, as of 2025-11.
    """
    if kind == "databricks":
        return spark_of_databricks(version)
    if kind == "emr":
        return spark_of_emr(version)
    tables: Mapping[str, Mapping[str, str]] = {"glue": _GLUE, "dataproc": _DATAPROC, "dataproc-serverless": _DATAPROC_SERVERLESS}
    match = re.match(r"\d+\.\d+", version)
    return SparkVersion.parse(tables.get(kind, {}).get(match[0], "")) if match else None
