"""SG1: keys. Spark accepts any key without a word; these rules hold them against the catalog of the target version."""

from collections.abc import Iterator

from spark_copilot.rules_engine.gate.finding import Fix, Hit
from spark_copilot.rules_engine.gate.forgotten import FORGOTTEN
from spark_copilot.rules_engine.gate.rule import gate_rule
from spark_copilot.rules_engine.gate.setting import Setting
from spark_copilot.rules_engine.gate.vendors import vendor_of
from spark_copilot.rules_engine.gate.view import View


def _unknown(view: View) -> Iterator[Setting]:
    """Settings whose key starts with spark. and is known neither to Spark nor to a vendor."""
    for s in view.settings:
        if s.key.startswith("spark.") and not view.catalog.knows(s.key) and vendor_of(s.key) is None:
            yield s


@gate_rule("SG101", "unknown-key", "error")
def unknown_key(view: View) -> Iterator[Hit]:
    """A misspelt key: Spark takes it without a word and never reads it, so the setting does nothing.

    Example: spark.executors.memory 8g
    Fix: spark.executor.memory 8g
    When not: keys of your own application that look like Spark's; list them under known-keys.
    """
    for s in _unknown(view):
        near = None if view.catalog.same_but_case(s.key) else view.catalog.nearest(s.key)
        if near is not None:
            yield Hit(s.line, f"Spark has no key {s.key}; did you mean {near}?", s.key, s.column, f"write {near}", Fix(s.line, s.key, near))


@gate_rule("SG102", "wrong-case-key", "error")
def wrong_case(view: View) -> Iterator[Hit]:
    """Keys are case sensitive: this one differs from Spark's in letter case only and is never read.

    Example: spark.sql.adaptive.Enabled true
    Fix: spark.sql.adaptive.enabled true
    When not: never.
    """
    for s in _unknown(view):
        right = view.catalog.same_but_case(s.key)
        if right is not None:
            yield Hit(
                s.line,
                f"keys are case sensitive: Spark reads {right}, not {s.key}",
                s.key,
                s.column,
                f"write {right}",
                Fix(s.line, s.key, right),
            )


@gate_rule("SG103", "deprecated-key", "warning")
def deprecated_key(view: View) -> Iterator[Hit]:
    """A key with a newer name. It is still read, until a later version stops.

    Example: spark.yarn.executor.memoryOverhead 2048
    Fix: spark.executor.memoryOverhead 2048
    When not: configurations shared with a Spark that does not know the new name yet.
    """
    known = view.catalog
    for s in view.settings:
        new = known.successor(s.key)
        comment = known.deprecated_sql(s.key, view.spark)
        if known.removed_sql(s.key, view.spark) or _is_dead(view, s.key):
            continue
        if new is not None and known.still_translated(s.key, view.spark) and _is_known_there(view, new):
            same_unit = not s.key.endswith((".mb", ".kb", ".seconds", "maxBytes", "MbInFlight"))
            edit = Fix(s.line, s.key, new) if same_unit else None
            yield Hit(s.line, f"{s.key} is the old name of {new}", s.key, s.column, f"write {new}", edit)
        elif comment is not None:
            yield Hit(s.line, f"{s.key} is deprecated: {comment}", s.key, s.column, comment)


def _is_known_there(view: View, key: str) -> bool:
    entry = view.catalog.entry(key)
    return entry is None or view.spark is None or min(entry.first, entry.since or entry.first) <= view.spark


def _is_dead(view: View, key: str) -> bool:
    if key in FORGOTTEN:
        return True
    if view.catalog.still_translated(key, view.spark):
        return False
    text = view.catalog.deprecated(key, view.spark)
    return text is not None and ("Not used" in text or "no longer" in text or "replaced" in text)


@gate_rule("SG104", "ignored-key", "error")
def ignored_key(view: View) -> Iterator[Hit]:
    """A key that the target version does not read any more; it is accepted and does nothing.

    Example: spark.shuffle.memoryFraction 0.4
    Fix: remove it; spark.memory.fraction governs since 1.6
    When not: never.
    """
    for s in view.settings:
        if not _is_dead(view, s.key) or view.catalog.removed_sql(s.key, view.spark):
            continue
        instead = FORGOTTEN.get(s.key) or view.catalog.successor(s.key)
        text = view.catalog.deprecated(s.key, view.spark)
        why = f"{s.key} is not read any more" + (f" ({text})" if text else "")
        yield Hit(s.line, why, s.key, s.column, f"use {instead}" if instead else "remove it")


@gate_rule("SG105", "removed-sql-key", "error")
def removed_sql_key(view: View) -> Iterator[Hit]:
    """A removed SQL key throws as soon as it is set to anything but its last default.

    Example: SET spark.sql.legacy.compareDateTimestampInTimestamp=false
    Fix: the successor that Spark names, or remove it
    When not: never.
    """
    for s in view.settings:
        removed = view.catalog.removed_sql(s.key, view.spark)
        if removed is not None and s.known and s.value.strip().lower() != removed[0].strip().lower():
            yield Hit(s.line, f"{s.key} was removed and throws when set to {s.value}: {removed[1]}", s.key, s.column, removed[1])


@gate_rule("SG106", "key-newer-than-target", "warning")
def newer_key(view: View) -> Iterator[Hit]:
    """The target version does not know this key yet, so it does nothing there.

    Example: spark.sql.adaptive.rebalancePartitionsSmallPartitionFactor on Spark 3.1
    Fix: raise the target or drop the key
    When not: one file for several versions.
    """
    if view.spark is None:
        return
    for s in view.settings:
        entry = view.catalog.entry(s.key)
        if entry is not None and entry.since is not None and entry.since > view.spark and entry.first > view.spark:
            yield Hit(
                s.line,
                f"{s.key} exists since Spark {entry.since}; the target is {view.spark}",
                s.key,
                s.column,
                "drop it or raise the target",
            )


@gate_rule("SG107", "key-gone-in-target", "warning")
def gone_key(view: View) -> Iterator[Hit]:
    """An earlier Spark read this key, the target does not.

    Example: spark.mesos.coarse true on Spark 4.0
    Fix: remove it
    When not: one file for several versions.
    """
    known = view.catalog
    if view.spark is None or view.spark > known.newest:
        return
    for s in view.settings:
        entry = known.entry(s.key)
        if entry is None or entry.last >= view.spark or known.removed_sql(s.key, view.spark) or _is_dead(view, s.key):
            continue
        if known.still_translated(s.key, view.spark) or known.in_class_files(s.key) or known.deprecated_sql(s.key, view.spark):
            continue
        yield Hit(s.line, f"Spark {view.spark} does not know {s.key}; {entry.last} was the last", s.key, s.column, "remove it")


@gate_rule("SG108", "vendor-key-on-other-platform", "warning")
def vendor_key(view: View) -> Iterator[Hit]:
    """A key that one vendor's Spark reads, on another platform: it does nothing there.

    Example: spark.databricks.io.cache.enabled true on YARN
    Fix: remove it, or move it to that platform's configuration
    When not: Delta's own keys (spark.databricks.delta.*), which every platform reads; they are not reported.
    """
    if view.target.platform is None:
        return
    for s in view.settings:
        vendor = vendor_of(s.key)
        if vendor is not None and vendor.platforms and view.target.platform not in vendor.platforms:
            yield Hit(s.line, f"{s.key} is read by {vendor.name} only; this runs on {view.target.platform}", s.key, s.column, "remove it")


@gate_rule("SG109", "legacy-switch", "info")
def legacy_switch(view: View) -> Iterator[Hit]:
    """A spark.sql.legacy switch brings back how an older version behaved; it is made to be removed again.

    Example: spark.sql.legacy.timeParserPolicy LEGACY
    Fix: adapt the queries and drop the switch
    When not: while a migration is under way.
    """
    for s, entry in view.known():
        default = entry.default(view.spark)
        plain = s.key.startswith("spark.sql.legacy.") and s.key != "spark.sql.legacy.timeParserPolicy" and "Rebase" not in s.key
        value, newest = s.value.strip().lower(), entry.default(None)
        left_on = default is not None and value not in (default.lower(), (newest or "").lower(), "false")
        if plain and left_on and not view.catalog.removed_sql(s.key, view.spark):
            since = f" since {entry.since}" if entry.since else ""
            yield Hit(
                s.line,
                f"{s.key} restores the behaviour of an earlier version (the switch exists{since})",
                s.key,
                s.column,
                "plan its removal",
            )


@gate_rule("SG110", "restates-default", "info", on=False)
def restates_default(view: View) -> Iterator[Hit]:
    """The value is the default of the target version anyway.

    Example: spark.sql.shuffle.partitions 200
    Fix: delete the line
    When not: values that are written to stay when the default changes.
    """
    if view.spark is None:
        return
    for s, entry in view.known():
        default = entry.default(view.spark)
        if s.key == entry.key and default is not None and s.value.strip().lower() == default.lower():
            yield Hit(s.line, f"{s.value} is the default of Spark {view.spark}", s.key, s.column, "delete it")


@gate_rule("SG111", "unknown-key-no-neighbour", "info", on=False)
def unknown_without_neighbour(view: View) -> Iterator[Hit]:
    """A key in one of Spark's own name spaces that no version knows and that resembles none.

    Example: spark.sql.turbo.mode on
    Fix: check the spelling, or list it under known-keys
    When not: keys of extensions.
    """
    for s in _unknown(view):
        if view.catalog.is_own(s.key) and view.catalog.nearest(s.key) is None and view.catalog.same_but_case(s.key) is None:
            yield Hit(s.line, f"no Spark version has a key {s.key}", s.key, s.column, "check the spelling")


@gate_rule("SG112", "internal-key", "info", on=False)
def internal_key(view: View) -> Iterator[Hit]:
    """Spark marks this key as internal: it may change or vanish in any release.

    Example: spark.sql.codegen.useIdInClassName false
    Fix: a public key where there is one
    When not: on the advice of Spark's developers.
    """
    for s in view.settings:
        entry = view.catalog.entry(s.key)
        if entry is not None and not entry.public and not s.key.startswith("spark.sql.legacy."):
            yield Hit(s.line, f"{s.key} is internal to Spark", s.key, s.column, "prefer a public key")


RULES = (
    unknown_key, wrong_case, deprecated_key, ignored_key, removed_sql_key, newer_key, gone_key, vendor_key, legacy_switch, restates_default,
    unknown_without_neighbour, internal_key,
)  # fmt: skip
