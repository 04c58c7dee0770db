"""The catalog of Spark's keys: what exists in which version, of which type, under which older names. Data, loaded once on first use."""

import gzip
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from spark_copilot.rules_engine.errors import BadInput
from spark_copilot.rules_engine.gate.forgotten import FORGOTTEN
from spark_copilot.rules_engine.gate.spelling import Speller
from spark_copilot.rules_engine.gate.target import SparkVersion

_HERE = Path(__file__).parent
UNDEFINED = "<undefined>"

_FAMILIES = re.compile(
    r"""spark\.(?:
        hadoop\.[A-Za-z0-9] | hive\.[a-z] | executorEnv\.\S | yarn\.appMasterEnv\.\S | kubernetes\.driverEnv\.\S
        | kubernetes\.(?:driver|executor)\.(?:label|annotation|secrets|secretKeyRef|service\.label|service\.annotation|node\.selector)\.\S
        | kubernetes\.(?:driver|executor)\.volumes\.[A-Za-z]+\.\S | kubernetes\.node\.selector\.\S
        | kubernetes\.authenticate(?:\.(?:driver|executor|submission))?(?:\.mounted)?
          \.(?:oauthToken|oauthTokenFile|caCertFile|clientKeyFile|clientCertFile|serviceAccountName)\Z
        | (?:yarn\.)?security\.(?:credentials|tokens)\.\w+\.enabled\Z | scheduler\.listenerbus\.eventqueue\.\w+\.\w+\Z
        | (?:driver|executor|task|worker|yarn\.am|yarn\.driver|yarn\.executor|driver\.yarn)\.resource\.\S
        | sql\.catalog\.\S | sql\.(?:iceberg|hudi|delta|gluten|emr|parquet\.fs\.optimized|files\.cache)\.\S | sql\.kafka\S
        | sql\.streaming\.stateStore\.rocksdb\.\S | metrics\.(?:conf|namespace)\S* | kafka\.\S | mesos\.\S | ssl\.\S | plugins\.\S
        | (?:rpc|shuffle|network|files|blockManager|rss)\.io\.[A-Za-z]+ | io\.(?:compression|encryption\.commons\.config)\.\S | io\.crypto\S
        | ui\.[A-Za-z]+\.param\.\S | [\w.]+\.param\.\S | history\.kerberos\.\S | streaming\.kafka\.\S | streaming\.kinesis\.\S
        | history\.store\.\S+ | testing\.\S | test\.\S | ganglia\.\S | submit\.pyFiles | jars\.ivySettings\S*
    )""",
    re.VERBOSE,
)
"""Keys whose last part is free, and modules that the distribution of Spark does not carry (Kafka, Mesos, Kinesis)."""

_PYTHON_SIDE = frozenset(
    [
        "spark.python.worker.memory",
        "spark.python.profile",
        "spark.python.profile.dump",
        "spark.python.profile.memory",
        "spark.pyspark.python",
        "spark.pyspark.driver.python",
        "spark.python.worker.reuse",
        "spark.python.authenticate.socketTimeout",
        "spark.python.use.daemon",
        "spark.python.daemon.module",
        "spark.python.worker.module",
        "spark.submit.pyFiles",
        "spark.r.command",
        "spark.jars.repositories",
        "spark.jars.ivy",
        "spark.local.dir",
        "spark.driver.host",
        "spark.driver.port",
        "spark.ui.port",
        "spark.app.name",
        "spark.app.id",
        "spark.master",
        "spark.submit.deployMode",
        "spark.home",
        "spark.logConf",
        "spark.driver.extraLibraryPath",
        "spark.executor.extraLibraryPath",
        "spark.default.parallelism",
        "spark.rdd.compress",
        "spark.fileserver.port",
        "spark.extraListeners",
        "spark.remote",
        "spark.api.mode",
        "spark.cores.max",
        "spark.archives",
        "spark.files",
        "spark.jars",
        "spark.jars.packages",
        "spark.jars.excludes",
        "spark.port.maxRetries",
        "spark.hadoop.cloneConf",
        "spark.yarn.isPython",
        "spark.yarn.queue",
        "spark.yarn.tags",
        "spark.yarn.priority",
        "spark.network.crypto.saslFallback",
        "spark.authenticate",
        "spark.authenticate.secret",
    ]
)
"""Keys that the Python side, the launcher or the transport layer read and no registry lists."""

_NOT_KEYS = frozenset(
    {
        "spark.auth",
        "spark.driver",
        "spark.executor",
        "spark.network",
        "spark.properties",
        "spark.rpc",
        "spark.sql",
        "spark.task",
        "spark.worker",
        "spark.ssl",
        "spark.watermarkDelayMs",
    }
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered key. `first` and `last` are the versions that register it; `since` is what Spark itself says."""

    key: str
    type: str
    """bool, int, double, size, time, choice, or string (also for converters of their own)."""
    unit: str
    first: SparkVersion
    last: SparkVersion
    since: SparkVersion | None
    public: bool
    static: bool
    defaults: Mapping[SparkVersion, str]

    def default(self, spark: SparkVersion | None) -> str | None:
        """The default in this version (the newest that the catalog knows when it is newer still); None when undefined or not a plain value."""
        if not self.defaults:
            return None
        if spark is None:
            spark = self.last
        at = max((v for v in self.defaults if v <= spark), default=None)
        value = self.defaults[at] if at is not None else None
        return None if value is None or value.startswith("<") else value


def _version(text: str) -> SparkVersion:
    version = SparkVersion.parse(text)
    if version is None:
        raise ValueError(f"no Spark version: {text!r}")
    return version


def _type(text: str) -> tuple[str, str]:
    kind, _, unit = text.partition(":")
    unit = unit.rstrip("+")
    if kind == "bytes" and unit in ("B", "KiB", "MiB"):
        return "size", unit
    if kind == "time" and unit in ("ms", "s", "min"):
        return "time", unit
    plain = {"bool": "bool", "int": "int", "int(checked)": "int", "double": "double", "choice": "choice", "bytes(checked)": "size"}
    return plain.get(text, "string"), "B" if text == "bytes(checked)" else ""


class Catalog:
    """Everything known of Spark's keys over all versions at once; questions about one version take it as an argument."""

    def __init__(self, timeline: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        self._timeline = timeline
        self._details = details
        self._versions = sorted({_version(v) for v in details["versions"]})

    @cached_property
    def namespaces(self) -> frozenset[str]:
        """Second parts of Spark's own keys (executor, sql …)."""
        own = {key.split(".")[1] for key in self._timeline}
        return frozenset(own | {"shuffle", "storage", "network", "local", "speculation"})

    @cached_property
    def _constants(self) -> frozenset[str]:
        return frozenset(self._details["constants"]) - _NOT_KEYS

    @cached_property
    def _speller(self) -> Speller:
        return Speller([*self._timeline, *self._constants, *_PYTHON_SIDE])

    @cache  # noqa: B019 - one catalog lives as long as the process
    def entry(self, key: str) -> Entry | None:
        """The registered entry of a key; None when no version registers it."""
        raw = self._timeline.get(key)
        if raw is None:
            return None
        kind, unit = _type(raw["type"])
        return Entry(
            key=key,
            type=kind,
            unit=unit,
            first=_version(raw["first"]),
            last=_version(raw["last"]),
            since=SparkVersion.parse(raw["since"] or ""),
            public=raw["public"],
            static=raw["static"],
            defaults={_version(v): text for v, text in raw["defaults"].items()},
        )

    def knows(self, key: str) -> bool:
        """Whether any Spark version, its launcher, its Python side or a known family reads this key."""
        return (
            key in self._timeline
            or key in self._constants
            or key in _PYTHON_SIDE
            or key in FORGOTTEN
            or self.successor(key) is not None
            or any(key in self._details[table] for table in ("deprecated", "removed_sql", "deprecated_sql"))
            or _FAMILIES.match(key) is not None
        )

    def in_class_files(self, key: str) -> bool:
        """Whether a version of the catalog reads the key without registering it."""
        return key in self._constants or key in _PYTHON_SIDE

    def is_own(self, key: str) -> bool:
        """Whether the key lies in one of Spark's own name spaces."""
        parts = key.split(".")
        return len(parts) > 1 and parts[0] == "spark" and parts[1] in self.namespaces

    @cache  # noqa: B019
    def nearest(self, key: str) -> str | None:
        """The one key this may be a misspelling of."""
        return self._speller.nearest(key, own=self.is_own(key))

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return {key.lower(): key for key in [*self._constants, *_PYTHON_SIDE, *self._timeline]}

    def same_but_case(self, key: str) -> str | None:
        """The key that differs from this one in letter case only."""
        found = self._by_case.get(key.lower())
        return None if found is None or found == key else found

    def _probed(self, spark: SparkVersion) -> str:
        at = max((v for v in self._versions if v <= spark), default=self._versions[0])
        return str(at)

    def choices(self, key: str, spark: SparkVersion | None) -> tuple[str, ...] | None:
        """The closed list of an entry, upper case or as Spark writes it; without a version every value that any version takes."""
        by_version = self._details["choices"].get(key)
        if by_version is None:
            return None
        if spark is None or self._probed(spark) not in by_version:
            return tuple(dict.fromkeys(value for values in by_version.values() for value in values))
        return tuple(by_version[self._probed(spark)])

    def successor(self, key: str) -> str | None:
        """The newer name of a key that Spark renamed, in any version."""
        row = self._details["alternatives"].get(key)
        return None if row is None else str(row["to"])

    def still_translated(self, key: str, spark: SparkVersion | None) -> bool:
        """Whether this version still reads an old name as its newer one."""
        row = self._details["alternatives"].get(key)
        return row is not None and (spark is None or self._probed(spark) in row["in"])

    def deprecated(self, key: str, spark: SparkVersion | None) -> str | None:
        """Spark's own words for a core key that it deprecates, where this version has them."""
        row = self._details["deprecated"].get(key)
        if row is None or (spark is not None and spark < _version(row["since"])):
            return None
        return str(row["text"])

    def removed_sql(self, key: str, spark: SparkVersion | None) -> tuple[str, str] | None:
        """(last default, Spark's comment) of a SQL key that throws when set to anything else in this version."""
        row = self._details["removed_sql"].get(key)
        if row is None or spark is None or spark < _version(row["since"]):
            return None
        return str(row["default"]), str(row["text"])

    def deprecated_sql(self, key: str, spark: SparkVersion | None) -> str | None:
        """Spark's comment on a deprecated SQL key, where this version deprecates it."""
        row = self._details["deprecated_sql"].get(key)
        if row is None or (spark is not None and spark < _version(row["since"])):
            return None
        return str(row["text"])

    def is_static(self, key: str, spark: SparkVersion | None) -> bool:
        """Whether a SQL key cannot change in a running session."""
        entry = self.entry(key)
        if entry is None or not entry.static:
            return False
        since = self._details["static_since"].get(key)
        return spark is None or since is None or spark >= _version(since)

    @cached_property
    def newest(self) -> SparkVersion:
        """The newest version that the catalog holds."""
        return max(_version(raw["last"]) for raw in self._timeline.values())

    @property
    def all_keys(self) -> tuple[str, ...]:
        """Every registered key of every version."""
        return tuple(self._timeline)


def read(path: Path) -> dict[str, Any]:
    """One data file.

    Raises:
        BadInput: it is missing or damaged.
    """
    try:
        loaded: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError) as error:
        raise BadInput(f"{path}: no catalog of Spark settings ({error})", hint="`spark-copilot catalog build` makes one") from None
    return loaded


@cache
def catalog() -> Catalog:
    """The catalog that comes with the package, or the one in the folder that SPARK_COPILOT_CATALOG names."""
    folder = Path(os.environ.get("SPARK_COPILOT_CATALOG") or _HERE)
    return Catalog(read(folder / "timeline.json.gz"), read(folder / "details.json.gz"))
