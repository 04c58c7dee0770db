"""Exact changes, built from the run: the key with its old and new value, or the code pattern at its call site."""

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.target import SparkVersion
from spark_copilot.rules_engine.partitioning import shuffle_partitions


def has_already(run: AppRun, key: str, value: str) -> bool:
    """Whether the run had a key so, said or by the default of its Spark version."""
    current = run.conf(key)
    if current is None:
        entry = catalog().entry(key)
        current = None if entry is None else entry.default(SparkVersion.parse(run.app.spark_version))
    return (current or "").strip().lower() == value.strip().lower()


def conf(run: AppRun, key: str, to: str, text: str, stop: str) -> tuple[Change, ...]:
    """Set one key; () when the run already had it so."""
    if has_already(run, key, to):
        return ()
    return (Change(kind="conf", key=key, from_=run.conf(key), to=to, text=text, stop_condition=stop),)


def code(key: str, text: str, stop: str, to: str | None = None) -> tuple[Change, ...]:
    """Change a line of the job; `key` names the pattern, `to` is the line to write where one fits."""
    return (Change(kind="code", key=key, to=to, text=text, stop_condition=stop),)


def cluster(key: str, to: str | None, text: str, stop: str) -> tuple[Change, ...]:
    """Change a property of the cluster."""
    return (Change(kind="cluster", key=key, to=to, text=text, stop_condition=stop),)


def partitions_for(run: AppRun, read_bytes: int, target_bytes: int, per_slot: int) -> int:
    """How many tasks a stage should have: by size, and at least `per_slot` waves over the slots, a multiple of the slots."""
    return shuffle_partitions(read_bytes, run.slots_max, target_bytes, per_slot)
