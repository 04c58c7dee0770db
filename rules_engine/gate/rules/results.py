"""SG7: results and recovery: settings that lose, double or change data."""

from collections.abc import Iterator

from spark_copilot.rules_engine.gate.finding import Hit
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.view import View

_COMMITTER = ("spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version", "mapreduce.fileoutputcommitter.algorithm.version")


@gate_rule("SG701", "speculation-with-external-writes", "warning")
def speculation_external(view: View) -> Iterator[Hit]:
    """A speculative copy of a task writes a second time to a sink without commit protocol: rows appear twice.

    Example: spark.speculation true in a job that writes by JDBC
    Fix: switch it off, or write idempotently
    When not: sinks with upsert.
    """
    on = view.says("spark.speculation", True)
    if on is None:
        return
    if view.has("external-write") or any(view.text(key) == "2" for key in _COMMITTER):
        yield Hit(
            on.line,
            "speculation while this job writes without a safe commit",
            on.key,
            on.column,
            "switch it off or make the sink idempotent",
        )


@gate_rule("SG702", "committer-v2", "error")
def committer_v2(view: View) -> Iterator[Hit]:
    """Version 2 moves files when each task ends: a failed job leaves partial output, a retried one may leave doubles.

    Example: spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version 2
    Fix: 1, or a committer made for the object store
    When not: never where output must be whole.
    """
    for s in view.settings:
        if s.key in _COMMITTER and s.known and s.value.strip() == "2":
            yield Hit(
                s.line, "task output becomes visible before the job commits", s.key, s.column, "version 1, or an object-store committer"
            )


@gate_rule("SG703", "static-partition-overwrite", "warning")
def static_overwrite(view: View) -> Iterator[Hit]:
    """Overwrite with partitionBy replaces every partition of the table unless partitionOverwriteMode is dynamic.

    Example: df.write.mode("overwrite").partitionBy("day").parquet(path)
    Fix: spark.sql.sources.partitionOverwriteMode dynamic, or replaceWhere
    When not: the whole table is meant.
    """
    key = "spark.sql.sources.partitionOverwriteMode"
    mode = view.get(key)
    if view.is_test or (mode is not None and (not mode.known or mode.value.strip().lower() == "dynamic")):
        return
    for mark in view.marked("partitioned-overwrite"):
        yield Hit(
            mark.line, "overwrite with partitionBy replaces every partition, not only those written", key, mark.column, f"set {key}=dynamic"
        )


@gate_rule("SG704", "corrupt-files-ignored", "warning")
def corrupt_ignored(view: View) -> Iterator[Hit]:
    """Unreadable or missing files are skipped in silence: results are short of rows and nobody knows.

    Example: spark.sql.files.ignoreCorruptFiles true
    Fix: remove it and handle the failure
    When not: best-effort reads.
    """
    for key in (
        "spark.sql.files.ignoreCorruptFiles",
        "spark.sql.files.ignoreMissingFiles",
        "spark.files.ignoreCorruptFiles",
        "spark.files.ignoreMissingFiles",
    ):
        on = view.says(key, True)
        if on is not None:
            yield Hit(on.line, f"{key} skips files in silence", key, on.column, "remove it")


@gate_rule("SG705", "legacy-time-parser", "warning")
def legacy_time_parser(view: View) -> Iterator[Hit]:
    """The parser of Spark 2.4 is lenient: bad dates become other dates instead of errors.

    Example: spark.sql.legacy.timeParserPolicy LEGACY
    Fix: CORRECTED with patterns of the new parser
    When not: while patterns are moved over.
    """
    s = view.get("spark.sql.legacy.timeParserPolicy")
    if s is not None and s.known and s.value.strip().upper() == "LEGACY":
        yield Hit(s.line, "dates are parsed as in Spark 2.4", s.key, s.column, "CORRECTED, and patterns of the new parser")


@gate_rule("SG706", "legacy-rebase", "info")
def legacy_rebase(view: View) -> Iterator[Hit]:
    """Dates before 1582 and times before 1900 are shifted to the calendar of Spark 2.4.

    Example: spark.sql.parquet.datetimeRebaseModeInWrite LEGACY
    Fix: CORRECTED for new files
    When not: files that older Sparks must read.
    """
    for s in view.settings:
        if s.key.startswith("spark.sql.") and "RebaseMode" in s.key and s.known and s.value.strip().upper() == "LEGACY":
            yield Hit(s.line, "old dates are shifted to the calendar of Spark 2.4", s.key, s.column, "CORRECTED")


@gate_rule("SG707", "ansi-off-on-4", "warning")
def ansi_off(view: View) -> Iterator[Hit]:
    """ANSI mode is the default of Spark 4; without it overflows and bad casts become null.

    Example: spark.sql.ansi.enabled false
    Fix: mend the casts (try_cast) and remove it
    When not: during a migration.
    """
    off = view.says("spark.sql.ansi.enabled", False)
    if off is not None and view.at_least(4, 0):
        yield Hit(
            off.line,
            "ANSI mode is switched off: overflows and bad casts become null",
            off.key,
            off.column,
            "use try_cast where it is needed and remove it",
        )


@gate_rule("SG708", "retries-extreme", "warning")
def retries_extreme(view: View) -> Iterator[Hit]:
    """One attempt makes any lost task fatal; very many retry a broken job for hours.

    Example: spark.task.maxFailures 1
    Fix: the default, 4
    When not: tests.
    """
    if view.is_test or view.is_local:
        return
    s, count = view.get("spark.task.maxFailures"), view.count("spark.task.maxFailures")
    if s is not None and count is not None and (count == 1 or count > 20):
        yield Hit(s.line, f"{count} attempts a task", s.key, s.column, "the default of 4")
    s, count = view.get("spark.yarn.maxAppAttempts"), view.count("spark.yarn.maxAppAttempts")
    if s is not None and count == 1 and view.has("streaming"):
        yield Hit(s.line, "one attempt for a streaming application", s.key, s.column, "2 or more")


@gate_rule("SG709", "store-assignment-legacy", "warning")
def store_assignment(view: View) -> Iterator[Hit]:
    """With LEGACY an insert casts anything to anything: values overflow in silence.

    Example: spark.sql.storeAssignmentPolicy LEGACY
    Fix: ANSI, the default since 3.0
    When not: never.
    """
    s = view.get("spark.sql.storeAssignmentPolicy")
    if s is not None and s.known and s.value.strip().upper() == "LEGACY":
        yield Hit(s.line, "inserts cast without a check", s.key, s.column, "ANSI")


RULES = (
    speculation_external, committer_v2, static_overwrite, corrupt_ignored, legacy_time_parser, legacy_rebase, ansi_off, retries_extreme,
    store_assignment,
)  # fmt: skip
