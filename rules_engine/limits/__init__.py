"""Thresholds: one frozen dataclass a family, each field with its unit in the name and its reason beside it. No number lives in a rule."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from spark_copilot.rules_engine.errors import UsageError

L = TypeVar("L")


@dataclass(frozen=True, slots=True)
class PricingLimits:
    """Shares of the application's wall clock at stake that make a severity, and how findings are ordered."""

    critical_ratio: float = 0.25
    high_ratio: float = 0.10
    medium_ratio: float = 0.03


@dataclass(frozen=True, slots=True)
class SkewLimits:
    """When one task of a stage is called far behind the others."""

    min_tasks: int = 4  # below, a median says nothing about what is usual
    tail_ratio: float = 2.0  # slowest / median; peers start at 2 (low) and 4 (moderate)
    min_tail_ms: int = 1_500  # what the tail must cost in seconds: large ratios of tiny tasks are noise
    min_wall_ratio: float = 0.03  # and as a share of the run: the threshold of a medium finding
    data_ratio: float = 2.0  # slowest task's rows or bytes / median: from here on the data explains the time
    explained_ratio: float = 0.4  # a tail is "by data" when data ratio >= this share of the time ratio
    min_rows: int = 10_000  # a few rows cannot be the reason, whatever their ratio
    min_bytes: int = 8 << 20
    cut_to_quantile: float = 0.75


@dataclass(frozen=True, slots=True)
class PartitionLimits:
    """When the number or size of partitions costs."""

    min_wall_ratio: float = 0.03  # a stage that loses less is not worth a change
    min_lost_ms: int = 1_000
    min_rows: int = 100  # some dozens of rows do not become faster in more partitions
    target_bytes: int = 128 << 20  # the size Spark's own splits aim at
    min_even_ratio: float = 3.0  # above this slowest / median the stage is uneven, and skew explains it


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """When spill costs."""

    spill_min_bytes: int = 16 << 20  # a few MiB spill costs nothing one can measure
    spill_data_ratio: float = 0.10  # disk spill / (input + shuffle) of the stage
    spill_min_wall_ratio: float = 0.03
    spill_bytes_per_ms: int = 100_000  # 100 MB/s: serialise, write, read and merge once, on a slot
    memory_fraction: float = 0.6


@dataclass(frozen=True, slots=True)
class ExecutorLimits:
    """When slots stand empty."""

    driver_min_ratio: float = 0.05
    driver_min_ms: int = 2_000
    driver_high_ratio: float = 0.20  # below it a driver-bound finding stays under high: about half comes back at best
    driver_recoverable_ratio: float = 0.5
    min_gap_ms: int = 50  # shorter gaps are the scheduler's own pace between stages


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """When failed work is worth a finding."""

    min_failed_tasks: int = 1
    severe_ratio: float = 0.05  # failed / all attempts


@dataclass(frozen=True, slots=True)
class Limits:
    """All thresholds of one analysis. Extensions add theirs under their own class."""

    pricing: PricingLimits = field(default_factory=PricingLimits)
    skew: SkewLimits = field(default_factory=SkewLimits)
    partition: PartitionLimits = field(default_factory=PartitionLimits)
    memory: MemoryLimits = field(default_factory=MemoryLimits)
    executors: ExecutorLimits = field(default_factory=ExecutorLimits)
    failures: FailureLimits = field(default_factory=FailureLimits)
    extra: Mapping[type[Any], Any] = field(default_factory=dict)

    def of(self, kind: type[L]) -> L:
        """The thresholds of this class; its defaults when nobody set any."""
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, kind):
                return value
        found: L = self.extra.get(kind) or kind()
        return found

    def override(self, family: str, values: Mapping[str, float]) -> "Limits":
        """The limits with some fields of one family set.

        Raises:
            UsageError: no such family or field.
        """
        current = getattr(self, family, None)
        if current is None or family == "extra":
            raise UsageError(f"no limits of the name {family!r}")
        known = {f.name: type(getattr(current, f.name)) for f in fields(current)}
        for name in values:
            if name not in known:
                raise UsageError(f"no limit {name!r} in {family!r}", hint="known: " + ", ".join(known))
        changed = {family: replace(current, **{name: known[name](value) for name, value in values.items()})}
        return replace(self, **changed)
