"""SG3: the right setting at the wrong place or time."""

from collections.abc import Iterator

from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.setting import STARTUP, Place
from spark_copilot.rules_engine.gate.vendors import vendor_of
from spark_copilot.rules_engine.gate.view import View, kind_of_master

_RUNTIME_ONLY = ("spark.job.", "spark.jobGroup.", "spark.scheduler.pool", "spark.app.name", "spark.connect.", "spark.log.level")


def is_core(view: View, key: str) -> bool:
    """Whether the key is one of Spark's own that a running session cannot change."""
    if key.startswith(("spark.sql.", "spark.hadoop.", "spark.hive.", *_RUNTIME_ONLY)) or vendor_of(key) is not None:
        return False
    known = view.catalog
    return known.entry(key) is not None or known.successor(key) is not None or known.in_class_files(key)


@gate_rule("SG301", "core-key-at-run-time", "error")
def core_key_at_run_time(view: View) -> Iterator[Hit]:
    """A core setting cannot change in a running session: Spark raises, or keeps it without effect.

    Example: spark.conf.set("spark.executor.memory", "16g")
    Fix: set it before the session starts: submit, spark-defaults or the builder
    When not: Spark 2.4, which says nothing (and does nothing).
    """
    if view.kind == "dbt":
        return
    for s in view.settings:
        if s.place is Place.RUNTIME and is_core(view, s.key):
            yield Hit(s.line, f"{s.key} cannot be changed in a running session", s.key, s.column, "set it before the session starts")


@gate_rule("SG302", "static-sql-key-at-run-time", "error")
def static_key_at_run_time(view: View) -> Iterator[Hit]:
    """A static SQL setting is fixed when the session starts: changing it later raises.

    Example: spark.conf.set("spark.sql.warehouse.dir", "s3a://lake")
    Fix: builder or spark-defaults
    When not: never.
    """
    for s in view.settings:
        if s.place is Place.RUNTIME and s.key.startswith("spark.sql.") and view.catalog.is_static(s.key, view.spark):
            yield Hit(
                s.line,
                f"{s.key} is static: it cannot be changed in a running session",
                s.key,
                s.column,
                "set it in the builder or in spark-defaults",
            )


_DRIVER_KEYS = (
    "spark.driver.memory", "spark.driver.cores", "spark.driver.extraJavaOptions", "spark.driver.extraClassPath",
    "spark.driver.defaultJavaOptions", "spark.driver.extraLibraryPath", "spark.driver.memoryOverhead",
)  # fmt: skip


@gate_rule("SG303", "driver-setting-in-code", "warning")
def driver_setting_in_code(view: View) -> Iterator[Hit]:
    """The driver's JVM runs already when this code does: the setting has no effect, though conf.get shows it.

    Example: SparkSession.builder.config("spark.driver.memory", "8g")
    Fix: --driver-memory 8g or spark-defaults
    When not: scripts started with plain python.
    """
    if view.is_test or view.is_local:
        return
    for s in view.settings:
        if s.place in (Place.CODE, Place.LATE) and s.key in _DRIVER_KEYS:
            yield Hit(
                s.line,
                f"{s.key} in code comes too late: the driver's JVM is already running",
                s.key,
                s.column,
                "give it to spark-submit or spark-defaults",
            )


@gate_rule("SG304", "executor-setting-in-local-mode", "warning")
def executor_setting_in_local_mode(view: View) -> Iterator[Hit]:
    """With a local master there are no executors: executor sizes do nothing.

    Example: --master local[4] --conf spark.executor.memory=8g
    Fix: spark.driver.memory and local[n]
    When not: tests that share a configuration.
    """
    master = view.get("spark.master")
    if view.is_test or master is None or not master.known or kind_of_master(master.value) != "local" or "local-cluster" in master.value:
        return
    if view.has("databricks-cluster"):
        return
    for s in view.settings:
        if (
            s.place in STARTUP
            and s.key in ("spark.executor.memory", "spark.executor.cores", "spark.executor.instances")
            and s.origin
            not in (
                "--executor-memory",
                "--executor-cores",
                "--num-executors",
            )
        ):
            yield Hit(s.line, f"{s.key} does nothing with master {master.value}", s.key, s.column, "size the driver", related=master.line)


@gate_rule("SG305", "change-after-session-start", "warning")
def change_after_start(view: View) -> Iterator[Hit]:
    """A SparkConf changed after the session exists, or a second builder with core settings: nothing happens.

    Example: sc.getConf().set("spark.task.maxFailures", "8")
    Fix: one builder, before getOrCreate
    When not: session settings (spark.sql.*), which a second builder does change.
    """
    for s in view.settings:
        if s.place is not Place.LATE:
            continue
        if s.origin == "conf-copy" or is_core(view, s.key) or view.catalog.is_static(s.key, view.spark):
            yield Hit(
                s.line, f"{s.key} is set after the session was made and has no effect", s.key, s.column, "set it before the session starts"
            )


@gate_rule("SG306", "hadoop-prefix-at-run-time", "warning")
def hadoop_prefix(view: View) -> Iterator[Hit]:
    """The prefix spark.hadoop. is stripped at start only; in a running session nothing reads such a key.

    Example: spark.conf.set("spark.hadoop.fs.s3a.connection.maximum", "200")
    Fix: spark.conf.set("fs.s3a.connection.maximum", "200"), or set it at start
    When not: never.
    """
    for s in view.settings:
        if s.place is Place.RUNTIME and s.key.startswith("spark.hadoop."):
            yield Hit(
                s.line,
                f"nothing reads {s.key} in a running session",
                s.key,
                s.column,
                f"set it at start, or write {s.key.removeprefix('spark.hadoop.')}",
            )


@gate_rule("SG307", "master-in-code", "warning")
def master_in_code(view: View) -> Iterator[Hit]:
    """A master in code overrules the one of the submit: the job runs on one machine although a cluster was asked for.

    Example: SparkSession.builder.master("local[*]")
    Fix: leave it to spark-submit
    When not: tests, notebooks, and tools that always run locally.
    """
    if view.is_test or view.on("local") or view.kind == "notebook":
        return
    for s in view.settings:
        if s.key == "spark.master" and s.place in (Place.CODE, Place.LATE) and s.known:
            yield Hit(s.line, f"master {s.value} in code overrules the submit's", s.key, s.column, "leave it to spark-submit")


@gate_rule("SG308", "code-overrides-submit", "info")
def code_overrides(view: View) -> Iterator[Hit]:
    """Code sets what the submit of the same job sets to something else; the code wins.

    Example: --conf spark.sql.shuffle.partitions=400 and config("spark.sql.shuffle.partitions", "200")
    Fix: keep one
    When not: never. Needs a job group in the configuration.
    """
    outside = {s.key: s for s in view.settings if s.place < Place.CODE and s.known}
    for s in view.settings:
        other = outside.get(s.key)
        if s.place is Place.CODE and s.known and other is not None and other.file != s.file and other.value != s.value:
            yield Hit(
                s.line, f"{s.value} here wins over {other.value} in {other.file}, line {other.line}", s.key, s.column, "keep one of them"
            )


RULES = (
    core_key_at_run_time, static_key_at_run_time, driver_setting_in_code, executor_setting_in_local_mode, change_after_start, hadoop_prefix,
    master_in_code, code_overrides,
)  # fmt: skip
