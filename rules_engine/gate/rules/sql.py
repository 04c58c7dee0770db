"""SG6: settings that make SQL slow."""

from collections.abc import Iterator

from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.rules.values import is_odd_size
from spark_copilot.rules_engine.gate.view import View

MIB, GIB = 1 << 20, 1 << 30


@gate_rule("SG601", "aqe-off", "warning")
def aqe_off(view: View) -> Iterator[Hit]:
    """Adaptive execution is on by default since 3.2; switched off, joins and partitions stay as first planned.

    Example: spark.sql.adaptive.enabled false
    Fix: remove it
    When not: reproducing a plan.
    """
    off = view.says("spark.sql.adaptive.enabled", False)
    if off is not None and view.at_least(3, 2) and not view.is_test:
        yield Hit(off.line, "adaptive execution is switched off", off.key, off.column, "remove it")


@gate_rule("SG602", "aqe-part-off", "warning")
def aqe_part_off(view: View) -> Iterator[Hit]:
    """A part of adaptive execution is switched off: small partitions stay, or skewed ones.

    Example: spark.sql.adaptive.skewJoin.enabled false
    Fix: remove it
    When not: a measured regression of that part.
    """
    if view.is_test or view.says("spark.sql.adaptive.enabled", False):
        return
    for part in ("coalescePartitions", "skewJoin", "localShuffleReader"):
        off = view.says(f"spark.sql.adaptive.{part}.enabled", False)
        if off is not None:
            yield Hit(off.line, f"{part} of adaptive execution is switched off", off.key, off.column, "remove it")


@gate_rule("SG603", "shuffle-partitions-extreme", "warning")
def partitions_extreme(view: View) -> Iterator[Hit]:
    """Above 20,000 the scheduler is the limit, below 8 a cluster stands idle.

    Example: spark.sql.shuffle.partitions 50000
    Fix: let adaptive execution merge from a moderate number
    When not: tests and local runs.
    """
    s, count = view.get("spark.sql.shuffle.partitions"), view.count("spark.sql.shuffle.partitions")
    if s is None or count is None or view.is_test or view.is_local or view.on("local"):
        return
    if count > 20_000 or 0 < count < 8:
        yield Hit(s.line, f"{count} shuffle partitions", s.key, s.column, "a moderate number; adaptive execution merges")


@gate_rule("SG604", "advisory-size-not-respected", "info")
def advisory_size(view: View) -> Iterator[Hit]:
    """The advisory partition size is only a hint while parallelismFirst is true, its default.

    Example: spark.sql.adaptive.advisoryPartitionSizeInBytes 256m
    Fix: spark.sql.adaptive.coalescePartitions.parallelismFirst false
    When not: parallelism matters more than partition size.
    """
    s = view.get("spark.sql.adaptive.advisoryPartitionSizeInBytes")
    first = "spark.sql.adaptive.coalescePartitions.parallelismFirst"
    if s is not None and view.at_least(3, 2) and view.is_true(first) and not view.is_false("spark.sql.adaptive.enabled"):
        yield Hit(s.line, "the size is a hint only while parallelismFirst is true", s.key, s.column, f"set {first}=false")


@gate_rule("SG605", "broadcast-threshold-huge", "warning")
def broadcast_huge(view: View) -> Iterator[Hit]:
    """Broadcasting such tables fills driver and executors; above 8 GiB Spark refuses them at run time.

    Example: spark.sql.autoBroadcastJoinThreshold 10GB
    Fix: 10m to 100m
    When not: never.
    """
    for key in ("spark.sql.autoBroadcastJoinThreshold", "spark.sql.adaptive.autoBroadcastJoinThreshold"):
        s, size = view.get(key), view.size(key)
        if s is not None and size is not None and size >= 512 * MIB:
            yield Hit(
                s.line, f"tables up to {s.value} are broadcast", key, s.column, "10m to 100m", severity="error" if size >= 8 * GIB else None
            )


@gate_rule("SG606", "broadcast-disabled", "warning")
def broadcast_disabled(view: View) -> Iterator[Hit]:
    """-1 switches broadcast joins off: every join with a small table shuffles both sides.

    Example: spark.sql.autoBroadcastJoinThreshold -1
    Fix: give the driver memory, or analyse the tables
    When not: around one query that broadcasts by mistake.
    """
    s = view.get("spark.sql.autoBroadcastJoinThreshold")
    if s is not None and s.known and not view.is_test:
        number = values.size(s.value, "B")
        if number is not None and number < 0:
            yield Hit(s.line, "broadcast joins are switched off", s.key, s.column, "remove it")


@gate_rule("SG607", "broadcast-timeout-extreme", "warning")
def broadcast_timeout(view: View) -> Iterator[Hit]:
    """A negative or very long timeout hides a broadcast side that is too large or slow.

    Example: spark.sql.broadcastTimeout 36000
    Fix: mend the broadcast side
    When not: never.
    """
    s, time = view.get("spark.sql.broadcastTimeout"), view.time("spark.sql.broadcastTimeout")
    if s is not None and time is not None and (time < 0 or time > 3_600_000):
        yield Hit(
            s.line,
            f"a broadcast may take {s.value} s" if time > 0 else "broadcasts never time out",
            s.key,
            s.column,
            "the default of 300 s, or a smaller broadcast side",
        )


@gate_rule("SG608", "file-split-extreme", "warning")
def file_split(view: View) -> Iterator[Hit]:
    """Splits below 16m make many tiny tasks, above 1g few that spill.

    Example: spark.sql.files.maxPartitionBytes 4g
    Fix: 64m to 512m
    When not: formats that cannot be split.
    """
    s, size = view.get("spark.sql.files.maxPartitionBytes"), view.size("spark.sql.files.maxPartitionBytes")
    if s is not None and size and not view.is_test and not is_odd_size(view, s.key) and (0 < size < 16 * MIB or size > GIB):
        yield Hit(s.line, f"file splits of {s.value}", s.key, s.column, "64m to 512m")


@gate_rule("SG609", "codegen-or-vectorised-off", "warning")
def codegen_off(view: View) -> Iterator[Hit]:
    """Code generation or the vectorised reader is switched off: scans and operators run several times slower.

    Example: spark.sql.parquet.enableVectorizedReader false
    Fix: remove it
    When not: files that the vectorised reader cannot read.
    """
    if view.is_test:
        return
    for key in ("spark.sql.codegen.wholeStage", "spark.sql.parquet.enableVectorizedReader", "spark.sql.orc.enableVectorizedReader"):
        off = view.says(key, False)
        if off is not None:
            yield Hit(off.line, f"{key} is switched off", key, off.column, "remove it")


@gate_rule("SG610", "arrow-off-with-pandas", "info")
def arrow_off(view: View) -> Iterator[Hit]:
    """pandas conversion without Arrow pickles row by row.

    Example: spark.sql.execution.arrow.pyspark.enabled false with toPandas()
    Fix: true
    When not: types that Arrow does not carry.
    """
    off = view.says("spark.sql.execution.arrow.pyspark.enabled", False) or view.says("spark.sql.execution.arrow.enabled", False)
    if off is not None and view.has("pandas"):
        yield Hit(off.line, "pandas conversion without Arrow", off.key, off.column, "set it to true")


RULES = (
    aqe_off, aqe_part_off, partitions_extreme, advisory_size, broadcast_huge, broadcast_disabled, broadcast_timeout, file_split, codegen_off,
    arrow_off,
)  # fmt: skip
