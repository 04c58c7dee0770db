"""SG2: values, read with the converter that Spark itself uses for the key."""

import re
from collections.abc import Iterator, Mapping

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.keys import Entry
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.setting import Setting
from spark_copilot.rules_engine.gate.view import View

_PARTITIONS = "spark.sql.shuffle.partitions"
_PARALLELISM = "spark.default.parallelism"
_MEMORY = ("spark.executor.memory", "spark.driver.memory")
_EXTRA_CHOICES: Mapping[str, tuple[str, ...]] = {
    "spark.submit.deployMode": ("client", "cluster"),
    "spark.sql.catalogImplementation": ("hive", "in-memory"),
    "spark.io.encryption.keySizeBits": ("128", "192", "256"),
    "spark.sql.avro.compression.codec": ("uncompressed", "deflate", "snappy", "bzip2", "xz", "zstandard"),
}


def _of_type(view: View, kind: str) -> Iterator[tuple[Setting, Entry]]:
    for s, entry in view.known():
        if entry.type == kind and s.value.strip() != "" and "${" not in s.value and "{{" not in s.value:
            yield s, entry


@gate_rule("SG201", "not-a-boolean", "error")
def not_a_boolean(view: View) -> Iterator[Hit]:
    """Spark takes true and false only; yes, on and 1 fail, at start or with the first query.

    Example: spark.sql.adaptive.enabled yes
    Fix: spark.sql.adaptive.enabled true
    When not: never.
    """
    for s, _ in _of_type(view, "bool"):
        if values.boolean(s.value) is None:
            word = {"yes": "true", "1": "true", "on": "true", "y": "true", "t": "true", "enabled": "true"}.get(
                s.value.strip().lower(), "false"
            )
            yield Hit(s.line, f"{s.key} takes true or false, not {s.value!r}", s.key, s.column, f"write {word} if that is meant")


@gate_rule("SG202", "not-a-number", "error")
def not_a_number(view: View) -> Iterator[Hit]:
    """A whole or decimal number is wanted and something else is written; Spark fails when it reads it.

    Example: spark.sql.shuffle.partitions 1e3
    Fix: spark.sql.shuffle.partitions 1000
    When not: never.
    """
    for s, _ in _of_type(view, "int"):
        if s.key in (_PARALLELISM,) or (s.key == _PARTITIONS and s.value.strip().lower() == "auto"):
            continue
        if values.integer(s.value) is None:
            yield Hit(s.line, f"{s.key} takes a whole number, not {s.value!r}", s.key, s.column, "write a plain number")
    for s, _ in _of_type(view, "double"):
        if values.double(s.value) is None:
            yield Hit(s.line, f"{s.key} takes a number, not {s.value!r}", s.key, s.column, "write a plain number")


@gate_rule("SG203", "bad-size", "error")
def bad_size(view: View) -> Iterator[Hit]:
    """A size is a whole number with k, m, g or t: fractions, blanks and other suffixes are refused.

    Example: spark.executor.memoryOverhead 1.5g
    Fix: spark.executor.memoryOverhead 1536m
    When not: never.
    """
    for s, entry in _of_type(view, "size"):
        if values.size(s.value, entry.unit or "B") is None:
            yield Hit(s.line, f"{s.key} takes a whole number with k, m, g or t, not {s.value!r}", s.key, s.column, _whole_size(s.value))


def _whole_size(text: str) -> str:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt])(?:i?b)?\s*", text, re.IGNORECASE)
    if match is None:
        return "a whole number and k, m, g or t"
    number, unit = float(match[1]), match[2].lower()
    if number == int(number):
        return f"write {int(number)}{unit}"
    smaller = {"t": "g", "g": "m", "m": "k", "k": "b"}[unit]
    return f"write {round(number * 1024)}{smaller}"


@gate_rule("SG204", "bad-time", "error")
def bad_time(view: View) -> Iterator[Hit]:
    """A duration is a whole number with ms, s, m (or min), h or d; anything else is refused.

    Example: spark.network.timeout 1.5h
    Fix: spark.network.timeout 90m
    When not: never.
    """
    for s, entry in _of_type(view, "time"):
        if values.duration(s.value, entry.unit or "ms") is None:
            yield Hit(
                s.line,
                f"{s.key} takes a whole number with ms, s, m, h or d, not {s.value!r}",
                s.key,
                s.column,
                "a whole number and ms, s, m, h or d",
            )


@gate_rule("SG205", "not-in-choices", "error")
def not_in_choices(view: View) -> Iterator[Hit]:
    """The entry takes one value of a closed list; another one fails when it is set or with the first query.

    Example: spark.sql.sources.partitionOverwriteMode dynmic
    Fix: spark.sql.sources.partitionOverwriteMode dynamic
    When not: never.
    """
    for s in view.settings:
        allowed = view.catalog.choices(s.key, view.spark) or _EXTRA_CHOICES.get(s.key)
        if allowed is None or not s.known or s.value.strip() == "" or "${" in s.value:
            continue
        if s.value.strip().lower() not in {choice.lower() for choice in allowed}:
            yield Hit(
                s.line,
                f"{s.key} takes one of {', '.join(sorted(allowed, key=str.lower))}, not {s.value!r}",
                s.key,
                s.column,
                "one of the listed values",
            )


_ABOVE_ZERO = [
    "spark.sql.shuffle.partitions",
    "spark.executor.cores",
    "spark.driver.cores",
    "spark.task.cpus",
    "spark.task.maxFailures",
    "spark.cores.max",
    "spark.dynamicAllocation.maxExecutors",
    "spark.sql.adaptive.coalescePartitions.initialPartitionNum",
    "spark.yarn.maxAppAttempts",
    "spark.sql.adaptive.coalescePartitions.minPartitionNum",
    "spark.kubernetes.allocation.batch.size",
    "spark.sql.sources.bucketing.maxBuckets",
    "spark.stage.maxConsecutiveAttempts",
    "spark.sql.execution.rangeExchange.sampleSizePerPartition",
    "spark.rdd.parallelListingThreshold",
]
_NOT_NEGATIVE = [
    "spark.executor.instances",
    "spark.dynamicAllocation.minExecutors",
    "spark.dynamicAllocation.initialExecutors",
    "spark.sql.files.maxRecordsPerFile",
    "spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor",
    "spark.port.maxRetries",
]
_RANGES: Mapping[str, tuple[float, float, str]] = {
    "spark.memory.storageFraction": (0, 0.9999999, "at least 0 and below 1"),
    "spark.rpc.message.maxSize": (1, 2047, "from 1 to 2047 (MiB)"),
    "spark.dynamicAllocation.executorAllocationRatio": (1e-9, 1, "above 0 and at most 1"),
    "spark.speculation.quantile": (1e-9, 1, "above 0 and at most 1"),
    "spark.speculation.multiplier": (1.0000001, float("inf"), "above 1"),
    "spark.memory.fraction": (1e-9, 0.9999999, "between 0 and 1"),
    "spark.scheduler.minRegisteredResourcesRatio": (0, 1, "from 0 to 1"),
    "spark.sql.adaptive.nonEmptyPartitionRatioForBroadcastJoin": (0, float("inf"), "not negative"),
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": (0, float("inf"), "not negative"),
    "spark.reducer.maxReqsInFlight": (1, float("inf"), "above 0"),
    "spark.shuffle.io.maxRetries": (0, float("inf"), "not negative"),
    "spark.sql.execution.arrow.maxRecordsPerBatch": (-1, float("inf"), "not below -1"),
    **{key: (1, float("inf"), "above 0") for key in _ABOVE_ZERO},
    **{key: (0, float("inf"), "not negative") for key in _NOT_NEGATIVE},
}
_SIZES_ABOVE_ZERO = (
    "spark.sql.files.maxPartitionBytes",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes",
    "spark.executor.memory",
    "spark.driver.memory",
    "spark.sql.files.openCostInBytes",
)


@gate_rule("SG206", "out-of-range", "error")
def out_of_range(view: View) -> Iterator[Hit]:
    """The number lies outside what the entry allows; some of these Spark accepts in silence and then misbehaves.

    Example: spark.speculation.quantile 90
    Fix: spark.speculation.quantile 0.9
    When not: never.
    """
    for s, entry in view.known():
        number = values.double(s.value)
        limits = _RANGES.get(entry.key)
        if limits is not None and number is not None and not limits[0] <= number <= limits[1]:
            yield Hit(s.line, f"{s.key} must be {limits[2]}, not {s.value}", s.key, s.column, f"a value {limits[2]}")
        elif number is not None and entry.key.endswith(".port") and entry.type == "int" and not 0 <= number <= 65535:
            yield Hit(s.line, f"{s.key} is no port number: {s.value}", s.key, s.column, "a port from 0 to 65535")
        elif s.key in _SIZES_ABOVE_ZERO and (bytes_ := values.size(s.value, entry.unit or "B")) is not None and bytes_ <= 0:
            yield Hit(s.line, f"{s.key} must be above 0, not {s.value}", s.key, s.column, "a size above 0")


_NO_UNIT_RULE = frozenset({"spark.kryoserializer.buffer.max", "spark.sql.broadcastTimeout"})


@gate_rule("SG207", "size-without-unit", "warning")
def size_without_unit(view: View) -> Iterator[Hit]:
    """A bare number takes the entry's own unit, bytes here and MiB there; this one makes no sense in that unit.

    Example: spark.driver.maxResultSize 512 (bytes)
    Fix: spark.driver.maxResultSize 512m
    When not: very small limits on purpose; write the unit then.
    """
    for s, entry in _of_type(view, "size"):
        if s.key in _NO_UNIT_RULE or s.key != entry.key:
            continue
        meant = _odd_size(s, entry, view)
        if meant:
            yield Hit(s.line, f"{s.value} means {s.value} {'bytes' if entry.unit == 'B' else entry.unit} here", s.key, s.column, meant)


def _odd_size(s: Setting, entry: Entry, view: View) -> str | None:
    if not values.is_bare(s.value):
        return None
    number = int(s.value)
    default = values.size(entry.default(view.spark) or "", entry.unit or "B") or 0
    memory = entry.key.startswith(("spark.executor.", "spark.driver.", "spark.yarn.am.")) and "emory" in entry.key
    if entry.unit == "B" and default >= 1 << 20 and 0 < number < 1 << 16:
        return f"write the unit, for instance {number}m"
    if entry.unit == "MiB" and memory and 0 < number <= 64:
        return f"write the unit, for instance {number}g"
    if entry.unit in ("MiB", "KiB") and number >= (1 << 20 if entry.unit == "MiB" else 1 << 16):
        return "write the unit; this looks like bytes"
    return None


def is_odd_size(view: View, key: str) -> bool:
    """Whether SG207 already speaks of this key, so that rules on its magnitude keep silent."""
    s, entry = view.get(key), view.catalog.entry(key)
    return (
        s is not None
        and entry is not None
        and s.known
        and entry.type == "size"
        and key not in _NO_UNIT_RULE
        and _odd_size(s, entry, view) is not None
    )


@gate_rule("SG208", "time-without-unit", "warning")
def time_without_unit(view: View) -> Iterator[Hit]:
    """A bare number takes the entry's own unit, milliseconds here and seconds there; this one makes no sense in that unit.

    Example: spark.locality.wait 3 (milliseconds)
    Fix: spark.locality.wait 3s
    When not: very short times on purpose; write the unit then.
    """
    for s, entry in _of_type(view, "time"):
        if not values.is_bare(s.value) or s.key in _NO_UNIT_RULE:
            continue
        number = int(s.value)
        default = values.duration(entry.default(view.spark) or "", entry.unit or "ms")
        if default is None:
            continue
        short = entry.unit == "ms" and number > 0 and default >= 1000 and (number <= 60 or (number < 1000 and default >= 10_000))
        long = entry.unit == "s" and number >= 10_000 and default < 1000_000
        if short:
            yield Hit(s.line, f"{s.value} means {s.value} milliseconds here", s.key, s.column, f"write the unit, for instance {s.value}s")
        elif long:
            yield Hit(s.line, f"{s.value} means {s.value} seconds here", s.key, s.column, f"write the unit, for instance {s.value}ms")


_SERIALIZERS = ("org.apache.spark.serializer.KryoSerializer", "org.apache.spark.serializer.JavaSerializer")
_CODECS = ("lz4", "lzf", "snappy", "zstd")


@gate_rule("SG209", "class-not-loadable", "error")
def class_not_loadable(view: View) -> Iterator[Hit]:
    """A class or short name that Spark does not have: it fails when the context starts.

    Example: spark.serializer org.apache.spark.serializer.KyroSerializer
    Fix: spark.serializer org.apache.spark.serializer.KryoSerializer
    When not: classes of your own packages; only short names and Spark's own package are judged.
    """
    for s in view.settings:
        text = s.value.strip()
        if not s.known or not text or "$" in text:
            continue
        bad: tuple[str, ...] = ()
        if s.key == "spark.serializer" and text not in _SERIALIZERS and ("." not in text or text.startswith("org.apache.spark.")):
            bad = _SERIALIZERS
        elif s.key == "spark.shuffle.manager" and "." not in text and text.lower() not in ("sort", "tungsten-sort"):
            bad = ("sort",)
        elif s.key in (
            "spark.io.compression.codec",
            "spark.eventLog.compression.codec",
            "spark.shuffle.mapStatus.compression.codec",
            "spark.checkpoint.compression.codec",
        ):
            bad = _CODECS if "." not in text and text.lower() not in _CODECS else ()
        elif s.key == "spark.scheduler.mode" and text.upper() not in ("FIFO", "FAIR", "NONE"):
            bad = ("FIFO", "FAIR")
        if bad:
            yield Hit(s.line, f"{s.key}: Spark has no {text}", s.key, s.column, f"one of {', '.join(bad)}")


_OPTION_KEYS = re.compile(r"spark\.(?:executor|driver|yarn\.am)\.(?:extra|default)JavaOptions\Z")


def _java_options(view: View) -> Iterator[tuple[Setting, list[str]]]:
    for s in view.settings:
        if s.known and _OPTION_KEYS.match(s.key):
            yield s, s.value.split()


@gate_rule("SG210", "heap-size-in-java-options", "error")
def heap_in_options(view: View) -> Iterator[Hit]:
    """Spark refuses heap sizes in the Java options: the heap is set by spark.executor.memory and spark.driver.memory.

    Example: spark.executor.extraJavaOptions -Xmx8g
    Fix: spark.executor.memory 8g
    When not: never.
    """
    for s, options in _java_options(view):
        heap = next((o for o in options if o.startswith(("-Xmx", "-Xms"))), None)
        if heap:
            yield Hit(s.line, f"{heap} is not allowed in {s.key}", s.key, s.column, "set spark.executor.memory or spark.driver.memory")


@gate_rule("SG211", "spark-property-in-java-options", "error")
def spark_property_in_options(view: View) -> Iterator[Hit]:
    """Spark refuses -Dspark.* in the executors' Java options.

    Example: spark.executor.extraJavaOptions -Dspark.shuffle.compress=false
    Fix: --conf spark.shuffle.compress=false
    When not: never.
    """
    for s, options in _java_options(view):
        found = next((o for o in options if o.startswith("-Dspark.")), None)
        if found and s.key.startswith("spark.executor."):
            yield Hit(s.line, f"{found} is not allowed in {s.key}", s.key, s.column, "set it as a Spark property")


_GONE = re.compile(
    r"-XX:[+-]?(?:UseConcMarkSweepGC|UseParNewGC|PermSize|MaxPermSize|PrintGCDateStamps|PrintGCTimeStamps|PrintGCApplicationStoppedTime"
    r"|PrintGCApplicationConcurrentTime|PrintHeapAtGC|PrintTenuringDistribution|PrintAdaptiveSizePolicy|PrintReferenceGC|AggressiveOpts"
    r"|CMS\w+|UseCMS\w+|UseGCLogFileRotation|GCLogFileSize|NumberOfGCLogFiles|UseParallelOldGC|PrintPromotionFailure|ExplicitGCInvokesConcurrentAndUnloadsClasses)(?=[=\s]|\Z)"
)


@gate_rule("SG212", "jvm-flag-gone", "error")
def jvm_flag_gone(view: View) -> Iterator[Hit]:
    """A JVM flag that Java 17 does not know: the JVM exits at once. Spark 4 needs Java 17.

    Example: -XX:+PrintGCDateStamps
    Fix: -Xlog:gc*:stdout:time
    When not: together with -XX:+IgnoreUnrecognizedVMOptions.
    """
    java = view.target.java_major
    if java is None or java < 17:
        return
    for s, options in _java_options(view):
        gone = [o for o in options if _GONE.match(o)]
        if gone and "-XX:+IgnoreUnrecognizedVMOptions" not in options:
            yield Hit(
                s.line,
                f"Java {java} does not start with {' '.join(gone)}",
                s.key,
                s.column,
                "remove it; G1 is the default, GC logs are -Xlog:gc*",
            )


_COLLECTOR = re.compile(r"-XX:\+Use(G1|Parallel|ParallelOld|ConcMarkSweep|ParNew|Z|Shenandoah|Serial|Epsilon)GC\Z")
_PAIRS = ({"ConcMarkSweep", "ParNew"}, {"Parallel", "ParallelOld"})


@gate_rule("SG213", "two-collectors", "error")
def two_collectors(view: View) -> Iterator[Hit]:
    """Two garbage collectors are switched on: the JVM refuses to start.

    Example: -XX:+UseG1GC -XX:+UseParallelGC
    Fix: keep one
    When not: never.
    """
    for s, options in _java_options(view):
        found = {m[1] for o in options if (m := _COLLECTOR.match(o))}
        if len(found) > 1 and not any(found <= pair for pair in _PAIRS):
            yield Hit(s.line, f"several garbage collectors at once: {', '.join(sorted(found))}", s.key, s.column, "keep one")


@gate_rule("SG214", "auto-partitions-off-databricks", "error")
def auto_partitions(view: View) -> Iterator[Hit]:
    """Only Databricks reads "auto" here; elsewhere it is no number and the first query fails.

    Example: spark.sql.shuffle.partitions auto
    Fix: a number; adaptive execution merges small partitions
    When not: on Databricks.
    """
    if view.target.platform is None or view.on("databricks"):
        return
    for s in view.settings:
        if s.key == _PARTITIONS and s.known and s.value.strip().lower() == "auto":
            yield Hit(s.line, f"auto is understood on Databricks only, not on {view.target.platform}", s.key, s.column, "write a number")


RULES = (
    not_a_boolean, not_a_number, bad_size, bad_time, not_in_choices, out_of_range, size_without_unit, time_without_unit, class_not_loadable,
    heap_in_options, spark_property_in_options, jvm_flag_gone, two_collectors, auto_partitions,
)  # fmt: skip
