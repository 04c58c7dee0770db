"""SG4: settings that contradict or need each other."""

import re
from collections.abc import Iterator

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.setting import STARTUP, Place, Setting
from spark_copilot.rules_engine.gate.target import SparkVersion
from spark_copilot.rules_engine.gate.view import View

_DYN = "spark.dynamicAllocation."


def misspelt(view: View, key: str) -> bool:
    """Whether an unknown key of the view is probably meant to be this one: then its absence says nothing."""
    known = view.catalog
    return any(
        not known.knows(s.key) and key in (known.nearest(s.key), known.same_but_case(s.key))
        for s in view.settings
        if s.key.startswith("spark.")
    )


def first_at_start(view: View, *prefixes: str) -> Setting | None:
    """The first setting under these prefixes that is set before the session exists."""
    return next((s for s in view.settings if s.place in STARTUP and s.key.startswith(prefixes)), None)


@gate_rule("SG401", "timeout-not-above-heartbeat", "error")
def timeout_above_heartbeat(view: View) -> Iterator[Hit]:
    """The network timeout must be well above the heartbeat interval: Spark refuses to start otherwise.

    Example: spark.network.timeout 60s with spark.executor.heartbeatInterval 120s
    Fix: a timeout several times the interval
    When not: never.
    """
    timeout, beat = "spark.network.timeout", "spark.executor.heartbeatInterval"
    written = view.first(timeout, beat)
    t, b = view.time(timeout, or_default=True), view.time(beat, or_default=True)
    if written is not None and t is not None and b is not None and t <= b:
        other = view.get(beat)
        yield Hit(
            written.line,
            f"{timeout} ({t / 1000:g} s) must be above {beat} ({b / 1000:g} s)",
            written.key,
            written.column,
            "raise the timeout or shorten the interval",
            related=other.line if other else None,
        )


@gate_rule("SG402", "offheap-without-size", "error")
def offheap_without_size(view: View) -> Iterator[Hit]:
    """Off-heap memory is on but has no size: Spark refuses to start.

    Example: spark.memory.offHeap.enabled true
    Fix: spark.memory.offHeap.size 4g
    When not: the size is set elsewhere.
    """
    on = view.says("spark.memory.offHeap.enabled", True)
    size = view.get("spark.memory.offHeap.size")
    if on is None or on.place not in STARTUP or misspelt(view, "spark.memory.offHeap.size"):
        return
    if size is None or (size.known and view.size("spark.memory.offHeap.size") == 0):
        yield Hit(on.line, "off-heap memory is on without spark.memory.offHeap.size", on.key, on.column, "set spark.memory.offHeap.size")


@gate_rule("SG403", "offheap-size-not-enabled", "warning")
def offheap_not_enabled(view: View) -> Iterator[Hit]:
    """An off-heap size without spark.memory.offHeap.enabled=true is not used.

    Example: spark.memory.offHeap.size 4g
    Fix: spark.memory.offHeap.enabled true, or drop the size
    When not: it is switched on elsewhere.
    """
    size, on = view.get("spark.memory.offHeap.size"), view.get("spark.memory.offHeap.enabled")
    if size is None or size.place not in STARTUP or misspelt(view, "spark.memory.offHeap.enabled"):
        return
    if (not size.known or view.size(size.key) != 0) and (on is None or (on.known and values.boolean(on.value) is False)):
        yield Hit(
            size.line,
            "the off-heap size is not used: spark.memory.offHeap.enabled is not true",
            size.key,
            size.column,
            "switch it on or drop the size",
        )


@gate_rule("SG404", "kryo-buffer-too-large", "error")
def kryo_buffer(view: View) -> Iterator[Hit]:
    """The Kryo buffer must stay below 2048m, and its start size below its maximum.

    Example: spark.kryoserializer.buffer.max 2g
    Fix: spark.kryoserializer.buffer.max 2047m
    When not: never.
    """
    top, start = view.get("spark.kryoserializer.buffer.max"), view.get("spark.kryoserializer.buffer")
    most = view.size("spark.kryoserializer.buffer.max", or_default=True)
    if top is not None and most is not None and most >= 2048 << 20:
        yield Hit(top.line, f"{top.key} must be below 2048m, not {top.value}", top.key, top.column, "2047m at most")
    first = view.size("spark.kryoserializer.buffer")
    if start is not None and first is not None and most is not None and first > most:
        yield Hit(
            start.line,
            f"{start.key} ({start.value}) is above its maximum",
            start.key,
            start.column,
            "lower it or raise spark.kryoserializer.buffer.max",
        )


@gate_rule("SG405", "kryo-options-without-kryo", "warning")
def kryo_without_kryo(view: View) -> Iterator[Hit]:
    """Kryo settings while the serializer is Java's: they do little or nothing.

    Example: spark.kryo.registrationRequired true without spark.serializer
    Fix: spark.serializer org.apache.spark.serializer.KryoSerializer
    When not: the serializer is set elsewhere.
    """
    option = first_at_start(view, "spark.kryo")
    serializer = view.get("spark.serializer")
    if option is None or misspelt(view, "spark.serializer") or view.has("spark-conf-unknown"):
        return
    if serializer is None or (serializer.known and serializer.value.strip() == "org.apache.spark.serializer.JavaSerializer"):
        yield Hit(
            option.line,
            f"{option.key} without the Kryo serializer",
            option.key,
            option.column,
            "set spark.serializer, or drop the Kryo settings",
        )


@gate_rule("SG406", "kryo-registration-without-classes", "warning")
def kryo_registration(view: View) -> Iterator[Hit]:
    """Registration is required but no class is registered: the first record of your own fails.

    Example: spark.kryo.registrationRequired true
    Fix: spark.kryo.classesToRegister or spark.kryo.registrator
    When not: classes are registered in code (registerKryoClasses), which is seen in the same file only.
    """
    required = view.says("spark.kryo.registrationRequired", True)
    if (
        required is not None
        and view.first("spark.kryo.classesToRegister", "spark.kryo.registrator") is None
        and not view.has("kryo-classes")
    ):
        yield Hit(
            required.line,
            "registration is required, but no class is registered",
            required.key,
            required.column,
            "set spark.kryo.classesToRegister or spark.kryo.registrator",
        )


@gate_rule("SG407", "encryption-without-authentication", "error")
def encryption_without_authentication(view: View) -> Iterator[Hit]:
    """Network encryption needs spark.authenticate: Spark refuses to start without it.

    Example: spark.network.crypto.enabled true
    Fix: spark.authenticate true
    When not: authentication is switched on elsewhere.
    """
    auth = view.get("spark.authenticate")
    if (auth is not None and (not auth.known or values.boolean(auth.value) is not False)) or misspelt(view, "spark.authenticate"):
        return
    for key in ("spark.network.crypto.enabled", "spark.authenticate.enableSaslEncryption", "spark.io.encryption.enabled"):
        on = view.says(key, True)
        if on is not None and on.place in STARTUP:
            grave = None if key != "spark.io.encryption.enabled" else "warning"
            yield Hit(on.line, f"{key} without spark.authenticate", key, on.column, "set spark.authenticate=true", severity=grave)  # type: ignore[arg-type]


@gate_rule("SG408", "dynamic-allocation-bounds", "error")
def allocation_bounds(view: View) -> Iterator[Hit]:
    """minExecutors above maxExecutors stops the start; a start size outside the bounds is corrected in silence.

    Example: minExecutors 40 with maxExecutors 20
    Fix: min <= initial <= max
    When not: never.
    """
    if view.is_false(_DYN + "enabled") and view.get(_DYN + "enabled") is not None:
        return
    least, most, start = (view.get(_DYN + k) for k in ("minExecutors", "maxExecutors", "initialExecutors"))
    lo, hi, at = (view.count(_DYN + k) for k in ("minExecutors", "maxExecutors", "initialExecutors"))
    if least is not None and lo is not None and hi is not None and lo > hi:
        yield Hit(
            least.line,
            f"minExecutors {lo} is above maxExecutors {hi}",
            least.key,
            least.column,
            "lower it or raise the maximum",
            related=most.line if most else None,
        )
    elif start is not None and at is not None and ((lo is not None and at < lo) or (hi is not None and at > hi)):
        yield Hit(
            start.line,
            f"initialExecutors {at} lies outside the bounds",
            start.key,
            start.column,
            "a value between minimum and maximum",
            severity="warning",
        )


@gate_rule("SG409", "dynamic-allocation-with-fixed-count", "warning")
def fixed_count(view: View) -> Iterator[Hit]:
    """With dynamic allocation the number of executors is only the start size, even above the maximum.

    Example: --num-executors 30 with spark.dynamicAllocation.enabled=true
    Fix: keep one of them
    When not: a start size on purpose; spark.dynamicAllocation.initialExecutors says so.
    """
    count, on = view.get("spark.executor.instances"), view.says(_DYN + "enabled", True)
    if count is None or on is None or count.place not in STARTUP or count.origin == "executor.instances":
        return
    yield Hit(
        count.line,
        "with dynamic allocation this is only the start size",
        count.key,
        count.column,
        "drop it, or write spark.dynamicAllocation.initialExecutors",
        related=on.line,
    )


_SIZES = tuple(_DYN + k for k in ("minExecutors", "maxExecutors", "initialExecutors", "executorIdleTimeout", "cachedExecutorIdleTimeout", "schedulerBacklogTimeout"))  # fmt: skip


@gate_rule("SG410", "dynamic-allocation-keys-unused", "warning")
def allocation_keys_unused(view: View) -> Iterator[Hit]:
    """Settings of dynamic allocation while it is not on.

    Example: spark.dynamicAllocation.maxExecutors 40 without spark.dynamicAllocation.enabled
    Fix: switch it on or drop them
    When not: platforms that switch it on (EMR, Dataproc, Glue); they are known.
    """
    on = view.get(_DYN + "enabled")
    if view.target.platform is None and on is None:
        return
    if view.on("databricks") or (on is None and misspelt(view, _DYN + "enabled")) or view.has("spark-conf-unknown"):
        return
    used = next((s for s in view.settings if s.place in STARTUP and s.key in _SIZES), None)
    if used is not None and view.is_false(_DYN + "enabled"):
        yield Hit(
            used.line,
            f"{used.key} has no effect: dynamic allocation is not on",
            used.key,
            used.column,
            "set spark.dynamicAllocation.enabled=true, or drop it",
        )


@gate_rule("SG411", "adaptive-keys-unused", "warning")
def adaptive_keys_unused(view: View) -> Iterator[Hit]:
    """Settings of adaptive execution while it is off (before Spark 3.2 it is off unless switched on).

    Example: spark.sql.adaptive.enabled false with spark.sql.adaptive.skewJoin.enabled true
    Fix: switch it on or drop them
    When not: never.
    """
    if misspelt(view, "spark.sql.adaptive.enabled") or not view.is_false("spark.sql.adaptive.enabled"):
        return
    if view.get("spark.sql.adaptive.enabled") is None and not view.starts_application:
        return
    for s in view.starting_with("spark.sql.adaptive."):
        if s.key != "spark.sql.adaptive.enabled" and view.catalog.entry(s.key) and not (s.known and values.boolean(s.value) is False):
            yield Hit(
                s.line,
                f"{s.key} has no effect: adaptive execution is off",
                s.key,
                s.column,
                "set spark.sql.adaptive.enabled=true, or drop it",
            )
            return


@gate_rule("SG412", "speculation-keys-unused", "info")
def speculation_keys_unused(view: View) -> Iterator[Hit]:
    """Settings of speculation while it is not on.

    Example: spark.speculation.quantile 0.9 without spark.speculation
    Fix: switch it on or drop them
    When not: it is switched on elsewhere.
    """
    option = first_at_start(view, "spark.speculation.")
    if option is not None and view.is_false("spark.speculation") and not misspelt(view, "spark.speculation"):
        yield Hit(
            option.line,
            f"{option.key} has no effect: speculation is not on",
            option.key,
            option.column,
            "set spark.speculation=true, or drop it",
        )


@gate_rule("SG413", "task-cpus-above-executor-cores", "error")
def task_cpus(view: View) -> Iterator[Hit]:
    """A task that needs more cores than an executor has never runs: Spark refuses to start.

    Example: spark.task.cpus 4 with spark.executor.cores 2
    Fix: lower spark.task.cpus
    When not: never.
    """
    cpus, cores = view.get("spark.task.cpus"), view.get("spark.executor.cores")
    need, have = view.count("spark.task.cpus"), view.count("spark.executor.cores")
    if cpus is not None and need is not None and have is not None and need > have > 0 and not view.is_local:
        yield Hit(
            cpus.line,
            f"a task needs {need} cores, an executor has {have}",
            cpus.key,
            cpus.column,
            "lower spark.task.cpus",
            related=cores.line if cores else None,
        )


@gate_rule("SG414", "metastore-version-without-jars", "error")
def metastore_jars(view: View) -> Iterator[Hit]:
    """Another Hive metastore version than the built-in one needs its own jars: Spark refuses otherwise.

    Example: spark.sql.hive.metastore.version 3.1.3
    Fix: spark.sql.hive.metastore.jars maven, or a path
    When not: platforms that bring the jars.
    """
    version, jars = view.get("spark.sql.hive.metastore.version"), view.get("spark.sql.hive.metastore.jars")
    builtin = view.catalog.entry("spark.sql.hive.metastore.version")
    if (
        version is None
        or not version.known
        or view.spark is None
        or builtin is None
        or view.on("databricks", "emr", "glue", "dataproc", "emr-serverless", "dataproc-serverless")
    ):
        return
    own = builtin.default(view.spark)
    if own is not None and version.value.strip() != own and (jars is None or (jars.known and jars.value.strip() == "builtin")):
        yield Hit(
            version.line,
            f"Spark {view.spark} has built-in jars for {own} only",
            version.key,
            version.column,
            "set spark.sql.hive.metastore.jars",
        )


_EXTENSION, _CATALOG = "io.delta.sql.DeltaSparkSessionExtension", "org.apache.spark.sql.delta.catalog.DeltaCatalog"


@gate_rule("SG415", "delta-half-configured", "error")
def delta_half(view: View) -> Iterator[Hit]:
    """Delta needs both its session extension and its catalog; with one of them SQL on Delta tables fails.

    Example: spark.sql.extensions io.delta.sql.DeltaSparkSessionExtension alone
    Fix: and spark.sql.catalog.spark_catalog org.apache.spark.sql.delta.catalog.DeltaCatalog
    When not: Databricks, which configures both.
    """
    if view.on("databricks"):
        return
    extensions, catalog_ = view.get("spark.sql.extensions"), view.get("spark.sql.catalog.spark_catalog")
    packages = view.get("spark.jars.packages")
    has_extension = extensions is not None and extensions.known and _EXTENSION in extensions.value
    has_catalog = catalog_ is not None and catalog_.known and catalog_.value.strip() == _CATALOG
    if has_extension and extensions is not None and catalog_ is None:
        yield Hit(
            extensions.line,
            "Delta's extension without Delta's catalog",
            extensions.key,
            extensions.column,
            f"set spark.sql.catalog.spark_catalog={_CATALOG}",
        )
    elif has_catalog and catalog_ is not None and (extensions is None or (extensions.known and not has_extension)):
        yield Hit(
            catalog_.line,
            "Delta's catalog without Delta's extension",
            catalog_.key,
            catalog_.column,
            f"set spark.sql.extensions={_EXTENSION}",
        )
    elif packages is not None and packages.known and re.search(r"io\.delta:delta-(?:core|spark)_", packages.value):
        whole = packages.place in (Place.DEFAULTS, Place.CODE) or view.kind == "sparkapplication"
        if whole and extensions is None and catalog_ is None and not view.has("delta-helper"):
            yield Hit(
                packages.line,
                "Delta's jars without its extension and catalog",
                packages.key,
                packages.column,
                "set spark.sql.extensions and spark.sql.catalog.spark_catalog",
            )


@gate_rule("SG416", "scala-suffix-mismatch", "error")
def scala_suffix(view: View) -> Iterator[Hit]:
    """A package built for another Scala or another Spark: it fails when its classes are loaded.

    Example: io.delta:delta-core_2.12:2.3.0 on Spark 4.0 (Scala 2.13)
    Fix: the artifact for this Spark and Scala
    When not: a Spark 3 built for Scala 2.13; packages that all say 2.13 are accepted there.
    """
    for s in view.settings:
        if s.key != "spark.jars.packages" or not s.known:
            continue
        coordinates = [c.strip() for c in s.value.split(",") if c.count(":") >= 2 and "$" not in c]
        suffixes = {m[1] for c in coordinates if (m := re.search(r":[\w.\-]+?_(2\.1[0-3])(?=:)", c))}
        why = _scala_problem(view.spark, suffixes) or next((p for c in coordinates if (p := _spark_problem(view.spark, c))), None)
        if why:
            yield Hit(s.line, why, s.key, s.column, "take the artifact for this Spark and Scala")


def _scala_problem(spark: SparkVersion | None, suffixes: set[str]) -> str | None:
    if len(suffixes) > 1:
        return f"packages for several Scala versions: {', '.join(sorted(suffixes))}"
    if spark is None or not suffixes:
        return None
    allowed = (
        {"2.13"}
        if spark.major >= 4
        else {"2.12", "2.13"}
        if spark >= SparkVersion(3, 2)
        else {"2.12"}
        if spark.major == 3
        else {"2.11", "2.12"}
    )
    wrong = suffixes - allowed
    return f"a package for Scala {wrong.pop()}; Spark {spark} runs {' or '.join(sorted(allowed))}" if wrong else None


def _spark_problem(spark: SparkVersion | None, coordinate: str) -> str | None:
    if spark is None:
        return None
    group, artifact, version = coordinate.split(":")[:3]
    built = re.match(r"(?:iceberg-spark-runtime-|hudi-spark)(\d\.\d+)(?=[_-])", artifact)
    if built and built[1] != str(spark):
        return f"{artifact} is built for Spark {built[1]}, not {spark}"
    if group == "org.apache.spark" and (own := SparkVersion.parse(version)) and own != spark:
        return f"{artifact} {version} belongs to Spark {own}, not {spark}"
    if artifact.startswith("delta-core_") and spark >= SparkVersion(3, 5):
        return f"delta-core ends with Spark 3.4; Spark {spark} needs delta-spark"
    return None


@gate_rule("SG417", "cores-max-not-multiple", "warning")
def cores_max(view: View) -> Iterator[Hit]:
    """The core limit is no multiple of the executor's cores: the rest stays unused.

    Example: spark.cores.max 10 with spark.executor.cores 4
    Fix: a multiple
    When not: clusters other than standalone do not read it.
    """
    top, most, each = view.get("spark.cores.max"), view.count("spark.cores.max"), view.count("spark.executor.cores")
    if top is not None and most and each and view.master == "standalone" and most % each:
        yield Hit(
            top.line,
            f"{most} cores in executors of {each} leave {most % each} unused",
            top.key,
            top.column,
            f"{most - most % each or each}",
        )


@gate_rule("SG418", "event-log-half-configured", "warning")
def event_log_half(view: View) -> Iterator[Hit]:
    """Event logging needs both its switch and a directory; the default directory is a local one that must exist.

    Example: spark.eventLog.enabled true without spark.eventLog.dir
    Fix: spark.eventLog.dir hdfs:///spark/events
    When not: platforms that write event logs by themselves; they are known.
    """
    on, where = view.get("spark.eventLog.enabled"), view.get("spark.eventLog.dir")
    if view.is_test or view.master not in ("yarn", "kubernetes", "standalone") or view.on("emr", "dataproc", "databricks", "glue"):
        return
    if (
        view.says("spark.eventLog.enabled", True)
        and on is not None
        and on.place in STARTUP
        and where is None
        and not misspelt(view, "spark.eventLog.dir")
    ):
        yield Hit(
            on.line,
            "event logs are on without a directory: file:/tmp/spark-events must exist on every driver",
            on.key,
            on.column,
            "set spark.eventLog.dir",
        )
    elif where is not None and where.place in STARTUP and on is None and not misspelt(view, "spark.eventLog.enabled"):
        yield Hit(
            where.line, "a directory for event logs that are not switched on", where.key, where.column, "set spark.eventLog.enabled=true"
        )


RULES = (
    timeout_above_heartbeat, offheap_without_size, offheap_not_enabled, kryo_buffer, kryo_without_kryo, kryo_registration,
    encryption_without_authentication, allocation_bounds, fixed_count, allocation_keys_unused, adaptive_keys_unused, speculation_keys_unused,
    task_cpus, metastore_jars, delta_half, scala_suffix, cores_max, event_log_half,
)  # fmt: skip
