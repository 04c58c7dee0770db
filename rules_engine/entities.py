"""What of a run is told one by one: the application, its settings and processes, Spark Connect operations, tasks without an end, and how whole the log was."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Environment:
    """What the run was started with. Secrets are masked before this is built."""

    spark: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    hadoop: Mapping[str, str] = field(default_factory=dict)
    jvm: Mapping[str, str] = field(default_factory=dict)
    classpath: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Application:
    """Identity and span. `ended_ms` is MISSING when the log has no end event; `last_event_ms` is the latest time any event names."""

    id: str
    name: str
    user: str
    spark_version: str
    started_ms: int
    ended_ms: int
    last_event_ms: int
    attempt: str | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class ConnectOperation:
    """One request of a Spark Connect client. Texts are masked and cut.

    `state` is started, analysed, ready, finished, failed or cancelled: as far as the log tells. `ended_ms` is when it finished, failed or was
    cancelled, `closed_ms` when the client let go of it; MISSING where no event says so, and so is `rows` of what produced none.
    """

    operation_id: str
    session_id: str
    user: str
    statement: str
    state: str
    started_ms: int
    analysed_ms: int
    ready_ms: int
    ended_ms: int
    closed_ms: int
    error: str | None
    rows: int
    job_ids: tuple[int, ...] = ()
    sql_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ConnectSession:
    """One session of a Spark Connect client; `closed_ms` MISSING while it is open."""

    session_id: str
    user: str
    started_ms: int
    closed_ms: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process that belongs to the application and runs no tasks: YARN's application master."""

    process_id: str
    host_port: str
    cores: int
    added_ms: int
    log_urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunningTask:
    """A task attempt that began and whose end is not in the log; only in a run that was read in detail."""

    task_id: int
    index: int
    attempt: int
    partition_id: int
    stage_row: int
    executor_row: int
    launch_ms: int
    locality: int
    speculative: bool


@dataclass(frozen=True, slots=True)
class Resubmission:
    """A finished task that had to run again because its executor was lost with its output; the new attempt is a task of its own."""

    task_id: int
    stage_row: int
    executor_row: int
    duration_ms: int
    alive: bool = True
    """Whether the executor was still listed when Spark said so."""


@dataclass(frozen=True, slots=True)
class Late:
    """What came after its stage, job or executor was closed: it happened, and Spark's own pages leave it out of their sums.

    Only in a run that was read in detail. Tasks are named by id.
    """

    stage_tasks: tuple[int, ...] = ()
    """Began when their stage attempt had ended and none of its tasks ran."""
    executor_tasks: tuple[int, ...] = ()
    """Ended when their executor had been removed."""
    job_ends: Mapping[int, int] = field(default_factory=dict)
    """Job id -> rows of `tasks` that were there when it ended."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How whole the log was, with the place of what was wrong: `issues` are sentences, at most a few dozen, the counts are complete."""

    bad_lines: int = 0
    missing_task_ends: int = 0
    compacted: bool = False
    truncated: bool = False
    unknown_events: Mapping[str, int] = field(default_factory=dict)
    issues: tuple[str, ...] = ()
