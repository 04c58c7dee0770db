"""Spark's listener events as msgspec structs that declare only the fields read here; everything else in a line is skipped undecoded.

Names follow `JsonProtocol` of Spark 1.6 to 4.3. A field that some version lacks has a default; `MISSING` where zero would be a claim.
"""

from typing import Any

import msgspec
from msgspec import Struct, field

from spark_copilot.connectors.eventlog.events_connect import CONNECT, STEPS, OperationStarted, OperationStep, SessionChange
from spark_copilot.connectors.eventlog.events_sql import DriverUpdates, QueryProgress, SqlEnd, SqlMetricUpdates, SqlStart, SqlUpdate
from spark_copilot.rules_engine.facts import MISSING


class Named(Struct, gc=False):
    """Only the event's name: for lines whose prefix is unusual, and for counting unknown ones."""

    event: str = field(name="Event", default="")


class PushRead(Struct, gc=False):
    """Push-based shuffle reads (3.4 and later)."""

    corrupt_merged_block_chunks: int = field(name="Corrupt Merged Block Chunks", default=0)
    merged_fetch_fallback_count: int = field(name="Merged Fetch Fallback Count", default=0)
    merged_remote_blocks_fetched: int = field(name="Merged Remote Blocks Fetched", default=0)
    merged_local_blocks_fetched: int = field(name="Merged Local Blocks Fetched", default=0)
    merged_remote_chunks_fetched: int = field(name="Merged Remote Chunks Fetched", default=0)
    merged_local_chunks_fetched: int = field(name="Merged Local Chunks Fetched", default=0)
    merged_remote_bytes_read: int = field(name="Merged Remote Bytes Read", default=0)
    merged_local_bytes_read: int = field(name="Merged Local Bytes Read", default=0)
    merged_remote_requests_ms: int = field(name="Merged Remote Requests Duration", default=0)


NO_PUSH = PushRead()


class ShuffleRead(Struct, gc=False):
    """Shuffle read metrics of a task."""

    remote_blocks: int = field(name="Remote Blocks Fetched", default=0)
    local_blocks: int = field(name="Local Blocks Fetched", default=0)
    fetch_wait: int = field(name="Fetch Wait Time", default=0)
    remote_bytes: int = field(name="Remote Bytes Read", default=0)
    to_disk: int = field(name="Remote Bytes Read To Disk", default=MISSING)
    local_bytes: int = field(name="Local Bytes Read", default=0)
    records: int = field(name="Total Records Read", default=0)
    requests: int = field(name="Remote Requests Duration", default=MISSING)
    push: PushRead | None = field(name="Push Based Shuffle", default=None)


class ShuffleWrite(Struct, gc=False):
    """Shuffle write metrics of a task."""

    bytes: int = field(name="Shuffle Bytes Written", default=0)
    time: int = field(name="Shuffle Write Time", default=0)
    records: int = field(name="Shuffle Records Written", default=0)


class InputMetrics(Struct, gc=False):
    """What a task read from outside."""

    bytes: int = field(name="Bytes Read", default=0)
    records: int = field(name="Records Read", default=0)


class OutputMetrics(Struct, gc=False):
    """What a task wrote outside."""

    bytes: int = field(name="Bytes Written", default=0)
    records: int = field(name="Records Written", default=0)


NO_READ, NO_WRITE, NO_INPUT, NO_OUTPUT = ShuffleRead(), ShuffleWrite(), InputMetrics(), OutputMetrics()


class TaskMetrics(Struct, gc=False):
    """`Task Metrics` of a task end. Parts that old versions leave out when empty count as zero."""

    deserialise: int = field(name="Executor Deserialize Time", default=0)
    deserialise_cpu: int = field(name="Executor Deserialize CPU Time", default=MISSING)
    run: int = field(name="Executor Run Time", default=0)
    cpu: int = field(name="Executor CPU Time", default=MISSING)
    peak: int = field(name="Peak Execution Memory", default=MISSING)
    result_size: int = field(name="Result Size", default=0)
    gc: int = field(name="JVM GC Time", default=0)
    serialisation: int = field(name="Result Serialization Time", default=0)
    memory_spilled: int = field(name="Memory Bytes Spilled", default=0)
    disk_spilled: int = field(name="Disk Bytes Spilled", default=0)
    read: ShuffleRead = field(name="Shuffle Read Metrics", default_factory=lambda: NO_READ)
    write: ShuffleWrite = field(name="Shuffle Write Metrics", default_factory=lambda: NO_WRITE)
    input: InputMetrics = field(name="Input Metrics", default_factory=lambda: NO_INPUT)
    output: OutputMetrics = field(name="Output Metrics", default_factory=lambda: NO_OUTPUT)


class TaskInfo(Struct, gc=False):
    """`Task Info` of a task start or end."""

    task_id: int = field(name="Task ID")
    index: int = field(name="Index", default=0)
    attempt: int = field(name="Attempt", default=0)
    partition: int = field(name="Partition ID", default=MISSING)
    launch: int = field(name="Launch Time", default=MISSING)
    executor: str = field(name="Executor ID", default="")
    host: str = field(name="Host", default="")
    locality: str = field(name="Locality", default="")
    speculative: bool = field(name="Speculative", default=False)
    getting_result: int = field(name="Getting Result Time", default=0)
    finish: int = field(name="Finish Time", default=MISSING)
    failed: bool = field(name="Failed", default=False)
    killed: bool = field(name="Killed", default=False)


class BlockManagerId(Struct, gc=False):
    """Where a block manager lives."""

    executor: str = field(name="Executor ID", default="")
    host: str = field(name="Host", default="")
    port: int = field(name="Port", default=0)


class EndReason(Struct, gc=False):
    """`Task End Reason`, all kinds in one."""

    reason: str = field(name="Reason", default="")
    class_name: str | None = field(name="Class Name", default=None)
    description: str | None = field(name="Description", default=None)
    stack_trace: str | None = field(name="Full Stack Trace", default=None)
    message: str | None = field(name="Message", default=None)
    kill_reason: str | None = field(name="Kill Reason", default=None)
    loss_reason: str | None = field(name="Loss Reason", default=None)
    executor: str | None = field(name="Executor ID", default=None)
    exit_by_app: bool | None = field(name="Exit Caused By App", default=None)
    job: int | None = field(name="Job ID", default=None)
    partition: int | None = field(name="Partition ID", default=None)
    attempt: int | None = field(name="Attempt Number", default=None)
    shuffle: int | None = field(name="Shuffle ID", default=None)
    map_index: int | None = field(name="Map Index", default=None)
    map_id: int | None = field(name="Map ID", default=None)
    reduce_id: int | None = field(name="Reduce ID", default=None)
    address: BlockManagerId | None = field(name="Block Manager Address", default=None)


class TaskEnd(Struct, gc=False):
    """A task attempt that ended."""

    info: TaskInfo = field(name="Task Info")
    stage: int = field(name="Stage ID")
    stage_attempt: int = field(name="Stage Attempt ID", default=0)
    reason: EndReason = field(name="Task End Reason", default_factory=EndReason)
    executor_metrics: msgspec.Raw = field(name="Task Executor Metrics", default=msgspec.Raw(b""))
    metrics: TaskMetrics | None = field(name="Task Metrics", default=None)


class TaskUpdate(Struct, gc=False):
    """What one task added to an accumulator."""

    id: int = field(name="ID")
    update: Any = field(name="Update", default=None)
    metadata: str | None = field(name="Metadata", default=None)


class DetailedInfo(TaskInfo, gc=False):
    """`Task Info` with the accumulator updates, which are the larger part of a line."""

    updates: tuple[TaskUpdate, ...] = field(name="Accumulables", default=())


class DetailedEnd(TaskEnd, gc=False, kw_only=True):
    """A task end read in detail."""

    info: DetailedInfo = field(name="Task Info")


class TaskStart(Struct, gc=False):
    """A task attempt that began."""

    info: TaskInfo = field(name="Task Info")
    stage: int = field(name="Stage ID")
    stage_attempt: int = field(name="Stage Attempt ID", default=0)


class StorageLevel(Struct, gc=False):
    """How an RDD is kept."""

    disk: bool = field(name="Use Disk", default=False)
    memory: bool = field(name="Use Memory", default=False)
    off_heap: bool = field(name="Use Off Heap", default=False)
    deserialised: bool = field(name="Deserialized", default=False)
    replication: int = field(name="Replication", default=1)


class Rdd(Struct, gc=False):
    """`RDD Info` of a stage."""

    rdd_id: int = field(name="RDD ID")
    name: str = field(name="Name", default="")
    scope: str | None = field(name="Scope", default=None)
    call_site: str = field(name="Callsite", default="")
    parents: tuple[int, ...] = field(name="Parent IDs", default=())
    level: StorageLevel = field(name="Storage Level", default_factory=StorageLevel)
    partitions: int = field(name="Number of Partitions", default=0)
    cached: int = field(name="Number of Cached Partitions", default=0)
    memory: int = field(name="Memory Size", default=0)
    disk: int = field(name="Disk Size", default=0)


class Accumulable(Struct, gc=False):
    """An accumulator's state in a stage; `value` is a number, a string of one, or anything a user put there."""

    id: int = field(name="ID")
    name: str | None = field(name="Name", default=None)
    value: Any = field(name="Value", default=None)
    metadata: str | None = field(name="Metadata", default=None)
    internal: bool = field(name="Internal", default=False)


class StageInfo(Struct, gc=False):
    """`Stage Info`."""

    stage: int = field(name="Stage ID")
    attempt: int = field(name="Stage Attempt ID", default=0)
    name: str = field(name="Stage Name", default="")
    tasks: int = field(name="Number of Tasks", default=0)
    rdds: tuple[Rdd, ...] = field(name="RDD Info", default=())
    parents: tuple[int, ...] = field(name="Parent IDs", default=())
    details: str = field(name="Details", default="")
    submitted: int = field(name="Submission Time", default=MISSING)
    completed: int = field(name="Completion Time", default=MISSING)
    failure: str | None = field(name="Failure Reason", default=None)
    accumulables: tuple[Accumulable, ...] = field(name="Accumulables", default=())
    profile: int = field(name="Resource Profile Id", default=0)
    push_enabled: bool = field(name="Shuffle Push Enabled", default=False)
    push_mergers: int = field(name="Shuffle Push Mergers Count", default=0)


class Properties(Struct, gc=False):
    """The local properties of a job or stage that are read."""

    execution: str | None = field(name="spark.sql.execution.id", default=None)
    pool: str | None = field(name="spark.scheduler.pool", default=None)
    description: str | None = field(name="spark.job.description", default=None)
    group: str | None = field(name="spark.jobGroup.id", default=None)
    tags: str | None = field(name="spark.job.tags", default=None)
    app_id: str | None = field(name="spark.app.id", default=None)
    app_name: str | None = field(name="spark.app.name", default=None)


class StageSubmitted(Struct, gc=False):
    """A stage attempt that began."""

    info: StageInfo = field(name="Stage Info")
    properties: Properties | None = field(name="Properties", default=None)


class StageCompleted(Struct, gc=False):
    """A stage attempt that ended."""

    info: StageInfo = field(name="Stage Info")


class JobStart(Struct, gc=False):
    """A job with the stages it may need."""

    job: int = field(name="Job ID")
    submitted: int = field(name="Submission Time", default=MISSING)
    infos: tuple[StageInfo, ...] = field(name="Stage Infos", default=())
    stage_ids: tuple[int, ...] = field(name="Stage IDs", default=())
    properties: Properties | None = field(name="Properties", default=None)


class JobException(Struct, gc=False):
    """Why a job failed."""

    message: str | None = field(name="Message", default=None)


class JobResult(Struct, gc=False):
    """How a job ended."""

    result: str = field(name="Result", default="")
    exception: JobException | None = field(name="Exception", default=None)


class JobEnd(Struct, gc=False):
    """A job that ended."""

    job: int = field(name="Job ID")
    completed: int = field(name="Completion Time", default=MISSING)
    result: JobResult = field(name="Job Result", default_factory=JobResult)


class LogStart(Struct, gc=False):
    """The first line of a log."""

    version: str = field(name="Spark Version", default="")


class ApplicationStart(Struct, gc=False):
    """Who runs what, since when."""

    name: str = field(name="App Name", default="")
    id: str | None = field(name="App ID", default=None)
    time: int = field(name="Timestamp", default=MISSING)
    user: str = field(name="User", default="")
    attempt: str | None = field(name="App Attempt ID", default=None)
    driver_logs: dict[str, str] | None = field(name="Driver Logs", default=None)
    driver_attributes: dict[str, str] | None = field(name="Driver Attributes", default=None)


class ApplicationEnd(Struct, gc=False):
    """The end of the application."""

    time: int = field(name="Timestamp", default=MISSING)
    exit_code: int | None = field(name="ExitCode", default=None)


class EnvironmentUpdate(Struct, gc=False):
    """Settings, in the groups of the environment page."""

    jvm: dict[str, Any] = field(name="JVM Information", default_factory=dict)
    spark: dict[str, Any] = field(name="Spark Properties", default_factory=dict)
    hadoop: dict[str, Any] = field(name="Hadoop Properties", default_factory=dict)
    system: dict[str, Any] = field(name="System Properties", default_factory=dict)
    metrics: dict[str, Any] = field(name="Metrics Properties", default_factory=dict)
    classpath: dict[str, Any] = field(name="Classpath Entries", default_factory=dict)


class ExecutorInfo(Struct, gc=False):
    """An executor as it registered."""

    host: str = field(name="Host", default="")
    cores: int = field(name="Total Cores", default=0)
    log_urls: dict[str, str] = field(name="Log Urls", default_factory=dict)
    attributes: dict[str, str] = field(name="Attributes", default_factory=dict)
    resources: dict[str, Any] = field(name="Resources", default_factory=dict)
    profile: int = field(name="Resource Profile Id", default=0)


class ExecutorAdded(Struct, gc=False):
    """An executor that came."""

    executor: str = field(name="Executor ID")
    time: int = field(name="Timestamp", default=MISSING)
    info: ExecutorInfo = field(name="Executor Info", default_factory=ExecutorInfo)


class ExecutorRemoved(Struct, gc=False):
    """An executor that left."""

    executor: str = field(name="Executor ID")
    time: int = field(name="Timestamp", default=MISSING)
    reason: str = field(name="Removed Reason", default="")


class ProcessInfo(Struct, gc=False):
    """Where a process runs that is no executor."""

    host_port: str = field(name="hostPort", default="")
    cores: int = 0
    log_urls: dict[str, str] = field(name="logUrlInfo", default_factory=dict)


class ProcessAdded(Struct, gc=False):
    """A process that is no executor: YARN's application master."""

    id: str = field(name="processId")
    time: int = MISSING
    info: ProcessInfo = field(default_factory=ProcessInfo)


class ExecutorMark(Struct, gc=False):
    """An executor, or every executor of a host, excluded or taken back (blacklisted before 3.1), for one stage where that is named."""

    executor: str = field(name="executorId", default="")
    host: str = field(name="hostId", default="")
    stage: int = field(name="stageId", default=MISSING)
    attempt: int = field(name="stageAttemptId", default=MISSING)
    time: int = field(name="time", default=MISSING)


class BlockManagerAdded(Struct, gc=False):
    """Storage of an executor or the driver."""

    manager: BlockManagerId = field(name="Block Manager ID")
    memory: int = field(name="Maximum Memory", default=0)
    on_heap: int = field(name="Maximum Onheap Memory", default=MISSING)
    off_heap: int = field(name="Maximum Offheap Memory", default=MISSING)
    time: int = field(name="Timestamp", default=MISSING)


class BlockManagerRemoved(Struct, gc=False):
    """Storage that went away."""

    manager: BlockManagerId = field(name="Block Manager ID")
    time: int = field(name="Timestamp", default=MISSING)


class StageExecutorMetrics(Struct, gc=False):
    """Peak memory metrics of one executor during one stage."""

    executor: str = field(name="Executor ID")
    stage: int = field(name="Stage ID", default=MISSING)
    attempt: int = field(name="Stage Attempt ID", default=0)
    metrics: dict[str, int] = field(name="Executor Metrics", default_factory=dict)


class BlockUpdatedInfo(Struct, gc=False):
    """One block and where it is kept now; no level of storage means nowhere."""

    manager: BlockManagerId = field(name="Block Manager ID")
    block: str = field(name="Block ID", default="")
    level: StorageLevel = field(name="Storage Level", default_factory=StorageLevel)
    memory: int = field(name="Memory Size", default=0)
    disk: int = field(name="Disk Size", default=0)


class BlockUpdated(Struct, gc=False):
    """A block stored, moved or dropped; logged only with `spark.eventLog.logBlockUpdates.enabled`."""

    info: BlockUpdatedInfo = field(name="Block Updated Info")


class UnpersistRdd(Struct, gc=False):
    """An RDD dropped from the caches."""

    rdd: int = field(name="RDD ID")


class ResourceProfile(Struct, gc=False):
    """What executors and tasks of a profile ask for."""

    id: int = field(name="Resource Profile Id")
    executor: dict[str, Any] = field(name="Executor Resource Requests", default_factory=dict)
    task: dict[str, Any] = field(name="Task Resource Requests", default_factory=dict)


SQL = "org.apache.spark.sql.execution.ui."
STREAM = "org.apache.spark.sql.streaming.StreamingQueryListener$"

KINDS: dict[str, type[Struct]] = {
    "SparkListenerLogStart": LogStart,
    "SparkListenerApplicationStart": ApplicationStart,
    "SparkListenerApplicationEnd": ApplicationEnd,
    "SparkListenerEnvironmentUpdate": EnvironmentUpdate,
    "SparkListenerJobStart": JobStart,
    "SparkListenerJobEnd": JobEnd,
    "SparkListenerStageSubmitted": StageSubmitted,
    "SparkListenerStageCompleted": StageCompleted,
    "SparkListenerTaskEnd": TaskEnd,
    "SparkListenerExecutorAdded": ExecutorAdded,
    "SparkListenerExecutorRemoved": ExecutorRemoved,
    "SparkListenerBlockManagerAdded": BlockManagerAdded,
    "SparkListenerBlockManagerRemoved": BlockManagerRemoved,
    "SparkListenerStageExecutorMetrics": StageExecutorMetrics,
    "SparkListenerUnpersistRDD": UnpersistRdd,
    "SparkListenerBlockUpdated": BlockUpdated,
    "SparkListenerResourceProfileAdded": ResourceProfile,
    "org.apache.spark.scheduler.SparkListenerMiscellaneousProcessAdded": ProcessAdded,
    SQL + "SparkListenerSQLExecutionStart": SqlStart,
    SQL + "SparkListenerSQLExecutionEnd": SqlEnd,
    SQL + "SparkListenerSQLAdaptiveExecutionUpdate": SqlUpdate,
    SQL + "SparkListenerSQLAdaptiveSQLMetricUpdates": SqlMetricUpdates,
    SQL + "SparkListenerDriverAccumUpdates": DriverUpdates,
    CONNECT + "OperationStarted": OperationStarted,
    **dict.fromkeys(STEPS, OperationStep),
    CONNECT + "SessionStarted": SessionChange,
    CONNECT + "SessionClosed": SessionChange,
    STREAM + "QueryProgressEvent": QueryProgress,
    "org.apache.spark.sql.streaming.StreamingQueryListener.QueryProgressEvent": QueryProgress,
}

EXCLUSIONS: dict[str, bool] = {
    f"{package}SparkListener{what}{word}": not word.startswith("Un")
    for package in ("", "org.apache.spark.scheduler.")
    for what in ("Executor", "Node")
    for word in ("Excluded", "Blacklisted", "Unexcluded", "Unblacklisted", "ExcludedForStage", "BlacklistedForStage")
}
"""Events that mark executors as excluded (True) or take them back (False), by the names of the versions."""

UNREAD = frozenset(
    {
        "SparkListenerTaskGettingResult",
        "SparkListenerSpeculativeTaskSubmitted",
        "SparkListenerExecutorMetricsUpdate",
        CONNECT + "ServiceStarted",
        CONNECT + "ServiceEnd",
    }
)
"""Known events that add nothing to an AppRun."""

DECODERS: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for name, kind in KINDS.items()}
DECODERS.update({name: msgspec.json.Decoder(ExecutorMark) for name in EXCLUSIONS})
decode_name = msgspec.json.Decoder(Named).decode
decode_task_end = msgspec.json.Decoder(TaskEnd).decode
decode_detailed_end = msgspec.json.Decoder(DetailedEnd).decode
decode_task_start = msgspec.json.Decoder(TaskStart).decode
decode_mapping = msgspec.json.Decoder(Any).decode
