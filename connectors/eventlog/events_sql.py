"""Events of SQL executions and of Structured Streaming, as msgspec structs."""

from typing import Any

from msgspec import Struct, field

from spark_copilot.rules_engine.facts import MISSING


class Metric(Struct, gc=False):
    """A SQL metric of a plan node."""

    name: str
    id: int = field(name="accumulatorId")
    kind: str = field(name="metricType", default="sum")


class Plan(Struct, gc=False):
    """`sparkPlanInfo`, a tree."""

    name: str = field(name="nodeName", default="")
    text: str = field(name="simpleString", default="")
    children: tuple["Plan", ...] = ()
    metadata: dict[str, str] | None = None
    metrics: tuple[Metric, ...] = ()


class SqlStart(Struct, gc=False):
    """A SQL execution that began."""

    id: int = field(name="executionId")
    root: int | None = field(name="rootExecutionId", default=None)
    description: str | None = None
    details: str | None = None
    physical: str | None = field(name="physicalPlanDescription", default=None)
    plan: Plan | None = field(name="sparkPlanInfo", default=None)
    time: int = MISSING
    configs: dict[str, Any] | None = field(name="modifiedConfigs", default=None)
    tags: tuple[str, ...] | None = field(name="jobTags", default=None)
    query: str | None = field(name="queryId", default=None)


class SqlUpdate(Struct, gc=False):
    """A plan made anew while it runs."""

    id: int = field(name="executionId")
    physical: str | None = field(name="physicalPlanDescription", default=None)
    plan: Plan | None = field(name="sparkPlanInfo", default=None)


class SqlMetricUpdates(Struct, gc=False):
    """Metrics that adaptive execution adds to a plan."""

    id: int = field(name="executionId")
    metrics: tuple[Metric, ...] = field(name="sqlPlanMetrics", default=())


class SqlEnd(Struct, gc=False):
    """A SQL execution that ended; an empty message is success."""

    id: int = field(name="executionId")
    time: int = MISSING
    error: str | None = field(name="errorMessage", default=None)


class DriverUpdates(Struct, gc=False):
    """Metric values that the driver measured."""

    id: int = field(name="executionId")
    updates: tuple[tuple[int, int], ...] = field(name="accumUpdates", default=())


class StateOperator(Struct, gc=False):
    """State of one streaming operator."""

    rows: int = field(name="numRowsTotal", default=0)
    updated: int = field(name="numRowsUpdated", default=0)
    memory: int = field(name="memoryUsedBytes", default=0)


class StreamSource(Struct, gc=False):
    """One source of a micro-batch."""

    description: str = ""
    rows: int = field(name="numInputRows", default=0)
    input_rate: float | str | None = field(name="inputRowsPerSecond", default=None)
    processed_rate: float | str | None = field(name="processedRowsPerSecond", default=None)


class Progress(Struct, gc=False):
    """One micro-batch."""

    id: str = ""
    run: str = field(name="runId", default="")
    name: str | None = None
    timestamp: str = ""
    batch: int = field(name="batchId", default=0)
    durations: dict[str, int] = field(name="durationMs", default_factory=dict)
    operators: tuple[StateOperator, ...] = field(name="stateOperators", default=())
    sources: tuple[StreamSource, ...] = ()


class QueryProgress(Struct, gc=False):
    """A streaming query's report."""

    progress: Progress
