"""Exact changes, built from the run: the key with its old and new value, or the code pattern at its call site."""

from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Change


def conf(run: AppRun, key: str, to: str, text: str, stop: str) -> tuple[Change, ...]:
    """Set one key; () when the run already had it so."""
    current = run.conf(key)
    if current is not None and current.strip().lower() == to.strip().lower():
        return ()
    return (Change(kind="conf", key=key, from_=current, to=to, text=text, stop_condition=stop),)


def code(key: str, text: str, stop: str, to: str | None = None) -> tuple[Change, ...]:
    """Change a line of the job; `key` names the pattern, `to` is the line to write where one fits."""
    return (Change(kind="code", key=key, to=to, text=text, stop_condition=stop),)


def cluster(key: str, to: str | None, text: str, stop: str) -> tuple[Change, ...]:
    """Change a property of the cluster."""
    return (Change(kind="cluster", key=key, to=to, text=text, stop_condition=stop),)


MAX_PARTITIONS = 1_000_000
"""More than any stage is asked to have."""


def partitions_for(run: AppRun, read_bytes: int, target_bytes: int, per_slot: int) -> int:
    """How many tasks a stage should have: by size, and at least `per_slot` waves over the slots, a multiple of the slots."""
    slots = min(run.slots_max, MAX_PARTITIONS)
    by_size = -(-read_bytes // target_bytes) if read_bytes > 0 else 0
    wanted = min(max(by_size, slots * per_slot), MAX_PARTITIONS)
    return int(-(-wanted // slots) * slots)
