"""The vocabulary: what can be found, how it is said, what mending it is worth. Frozen values that leave the process as JSON.

`Observation` is what a rule yields, `Finding` the same with its price, `Report` the whole answer. The JSON of `Report` is a contract
(`docs/report.schema.json`); its keys and the finding codes below are tested literally and never reused with another meaning.
"""

import hashlib
import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer
from pydantic_core.core_schema import SerializerFunctionWrapHandler

SCHEMA_VERSION: Final = 1

FAMILIES: dict[str, tuple[str, ...]] = {
    "partition": (
        "too-few-partitions",
        "too-many-small-tasks",
        "oversized-partitions",
        "unsplittable-input",
        "small-files-read",
        "small-files-written",
        "missing-partition-filter",
        "single-partition-window",
    ),
    "skew": ("data-skew", "straggler-tasks", "slow-node"),
    "memory": ("spill", "gc-pressure", "out-of-memory", "memory-overallocated", "cache-evicted-or-unused"),
    "plan": (
        "python-udf",
        "cartesian-or-nested-loop-join",
        "broadcast-missed",
        "broadcast-too-large",
        "row-explosion",
        "recomputed-data",
        "large-driver-result",
    ),
    "shuffle": ("shuffle-fetch-wait", "locality-wait", "task-overhead"),
    "executors": ("driver-bound", "idle-executors", "allocation-churn", "speculation-waste"),
    "failures": ("task-failures", "stage-retries", "executor-lost", "job-failed"),
    "delta": (
        "delta-small-files",
        "delta-full-scan",
        "delta-rewrite-amplification",
        "delta-maintenance-missing",
        "delta-log-growth",
        "delta-over-partitioned",
    ),
    "streaming": ("batch-slower-than-trigger", "state-growth"),
}
"""Every finding code by family. Settings findings (the gate's SG codes) have their own catalog."""

CODES: frozenset[str] = frozenset(code for codes in FAMILIES.values() for code in codes)


class Value(BaseModel):
    """Base of everything that leaves the process: frozen, closed, equal by content."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Severity(StrEnum):
    """How much of the wall clock is at stake; correctness and loss give a rule a floor."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for critical, 4 for info."""
        return list(Severity).index(self)


class Confidence(StrEnum):
    """How sure a finding is, from sample size, data quality and the width of the saving."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Interval(Value):
    """A quantity with its uncertainty: low <= mid <= high."""

    low: float
    mid: float
    high: float


class Money(Interval):
    """An interval of money."""

    currency: str


class Where(Value):
    """The place a finding speaks of; unknown parts are left out of the JSON. `stage_id` with `stage_attempt` is Spark's own numbering."""

    stage_id: int | None = None
    stage_attempt: int | None = None
    sql_id: int | None = None
    node_id: int | None = None
    executor_id: str | None = None
    table: str | None = None
    setting: str | None = None
    call_site: str | None = None
    sql_description: str | None = None

    @property
    def short(self) -> str:
        """The place as it stands in a finding's key: the most specific part that is known."""
        if self.setting is not None:
            return f"setting:{self.setting}"
        if self.executor_id is not None:
            return f"executor:{self.executor_id}"
        if self.node_id is not None and self.sql_id is not None:
            return f"sql:{self.sql_id}/node:{self.node_id}"
        if self.stage_id is not None:
            return f"stage:{self.stage_id}.{self.stage_attempt or 0}"
        if self.table is not None:
            return f"table:{self.table}"
        if self.sql_id is not None:
            return f"sql:{self.sql_id}"
        return "app"

    @model_serializer(mode="wrap")
    def _leave_out_unknown(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if v is not None}


Unit = Literal["ms", "bytes", "count", "ratio", "percent"]


class Evidence(Value):
    """One number that shows the finding, beside the limit it is held against (None: no limit, a figure for context)."""

    metric: str
    value: float
    limit: float | None = None
    unit: Unit


class Change(Value):
    """One exact change: a setting with its old and new value, a code pattern at a call site, a table or a cluster property.

    `from_` (JSON: `from`) is None when the key is not set; `to` is None when the change is not a value (then `text` says it).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    kind: Literal["conf", "code", "table", "cluster"]
    key: str
    from_: str | None = Field(None, alias="from")
    to: str | None = None
    text: str
    stop_condition: str


StageRefs = Annotated[tuple[str, ...], Field(description='stage attempts as "<stage id>.<attempt>"')]


class CutTail(Value):
    """Tasks longer than this quantile of their stage take that long instead."""

    kind: Literal["cut-tail"] = "cut-tail"
    stages: StageRefs
    to_quantile: float


class Repartition(Value):
    """The same work in another number of even tasks."""

    kind: Literal["repartition"] = "repartition"
    stages: StageRefs
    partitions: int


class RemoveShare(Value):
    """Task time spent in one phase shrinks by `ratio` (1.0: gone); not `sure`: by anything from nothing to twice that, because the log does not tell."""

    kind: Literal["remove-share"] = "remove-share"
    sure: bool = True
    stages: StageRefs
    of: Literal["spill", "gc", "fetch_wait", "deserialise", "scheduler", "compute", "failed", "speculation"]
    ratio: float


class Resize(Value):
    """Another number of executors or cores per executor."""

    kind: Literal["resize"] = "resize"
    executors: int | None = None
    cores: int | None = None


class DropExecutor(Value):
    """The tasks of one executor run as fast as their stage's others."""

    kind: Literal["drop-executor"] = "drop-executor"
    id: str


class Cache(Value):
    """These stages read a cached result instead of computing it: all but the first occurrence vanish."""

    kind: Literal["cache"] = "cache"
    stages: StageRefs


class Broadcast(Value):
    """A join becomes a broadcast join: the shuffles of these stages vanish."""

    kind: Literal["broadcast"] = "broadcast"
    sql_id: int
    node_id: int
    stages: StageRefs = ()


class SkipStages(Value):
    """These stages do not run."""

    kind: Literal["skip-stages"] = "skip-stages"
    stages: StageRefs


class DriverGap(Value):
    """This much time in which no task runs comes back."""

    kind: Literal["driver-gap"] = "driver-gap"
    ms: float


Remedy = Annotated[
    CutTail | Repartition | RemoveShare | Resize | DropExecutor | Cache | Broadcast | SkipStages | DriverGap,
    Field(discriminator="kind"),
]


class Saving(Value):
    """What a remedy brings under replay: wall clock, core time, and money once a price is known."""

    wall_ms: Interval
    core_ms: Interval
    cost: Money | None = None


_DIGITS = re.compile(r"\d+")
_IDS = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|#\d+L?|\b0x[0-9a-fA-F]+\b")


def normalised(text: str) -> str:
    """A call site, plan node or table with ids and digits folded, so that it is the same in the next run of the job."""
    return _DIGITS.sub("N", _IDS.sub("", text)).strip().lower()


def fingerprint(code: str, where: Where) -> str:
    """16 hex digits: code and normalised call site, table, setting or SQL text; the same across runs of a job."""
    place = where.setting or where.table or where.call_site or where.sql_description or ("executor" if where.executor_id else "app")
    return hashlib.sha256(f"{code}\n{normalised(place)}".encode()).hexdigest()[:16]


class Observation(Value):
    """What one rule saw at one place, with the numbers that show it and the change that would mend it."""

    code: str
    where: Where
    evidence: tuple[Evidence, ...]
    remedy: Remedy | None = None
    changes: tuple[Change, ...] = ()
    severity_floor: Severity | None = None
    severity_cap: Severity | None = None
    occurrences: int = 1
    also: tuple[int, ...] = ()
    cause: str | None = None
    """One clause that tells this case from its neighbours; prose otherwise comes from the evidence."""

    @property
    def key(self) -> str:
        """Same run, same key: advice and links refer to it. Across runs use `fingerprint`."""
        return f"{self.code}@{self.where.short}"


class Finding(Value):
    """An observation with its price: made by the runtime agent, given money by cost and sources by reason."""

    code: str
    key: str
    fingerprint: str
    title: str
    severity: Severity
    confidence: Confidence
    where: Where
    occurrences: int = 1
    also: tuple[int, ...] = ()
    evidence: tuple[Evidence, ...]
    because: str
    remedy: Remedy | None = None
    saving: Saving | None = None
    changes: tuple[Change, ...] = ()
    sources: tuple[str, ...] = ()

    @classmethod
    def of(cls, seen: Observation, *, title: str, severity: Severity, confidence: Confidence, because: str, saving: Saving | None) -> Self:
        """The observation, priced."""
        return cls(
            code=seen.code,
            key=seen.key,
            fingerprint=fingerprint(seen.code, seen.where),
            title=title,
            severity=severity,
            confidence=confidence,
            where=seen.where,
            occurrences=seen.occurrences,
            also=seen.also,
            evidence=seen.evidence,
            because=because,
            remedy=seen.remedy,
            saving=saving,
            changes=seen.changes,
        )


class Recommendation(Value):
    """Advice in words. It may explain findings and rank them, never add to them."""

    text: str
    because: tuple[str, ...]
    saving: Saving | None = None
    stop_condition: str


class ApplicationInfo(Value):
    """Which application the report speaks of. Times are UTC epoch milliseconds; `ended_ms` of an incomplete log is its last event."""

    id: str
    attempt: str | None = None
    name: str
    job: str
    spark_version: str
    platform: str
    started_ms: int
    ended_ms: int
    duration_ms: int
    complete: bool
    executors_max: int
    cores_max: int


class DataQuality(Value):
    """How whole the log was. Findings lower their confidence or abstain by it."""

    status: Literal["complete", "partial", "compacted"]
    bad_lines: int
    missing_task_ends: int
    reasons: tuple[str, ...] = ()


class NotComputable(Value):
    """A rule that could not look, and why."""

    code: str
    reason: str


class Failed(Value):
    """A rule that broke, and how."""

    code: str
    error: str


class Prediction(Value):
    """What a run of this job usually takes, from its history."""

    wall_ms: Interval
    runs_used: int
    drift: str | None = None


class CostReport(Value):
    """Money of the whole run at one price list."""

    currency: str
    price_date: str
    total: float
    wasted: float
    by: dict[str, float] = {}


class Passage(Value):
    """A retrieved piece of documentation."""

    id: str
    title: str
    source: str


class Report(Value):
    """The whole answer about one application. `findings`: most valuable first. `facts` holds what the agents state; it grows."""

    schema_version: Literal[1] = SCHEMA_VERSION
    application: ApplicationInfo
    data_quality: DataQuality
    verdict: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    not_computable: tuple[NotComputable, ...]
    failed: tuple[Failed, ...]
    facts: dict[str, Any]
    plan: tuple[Recommendation, ...]
    prediction: Prediction | None = None
    cost: CostReport | None = None
    passages: tuple[Passage, ...] = ()
