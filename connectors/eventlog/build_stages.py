"""Stage and job events -> `StageTable` and `JobTable`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog.build_tasks import sane_ms
from spark_copilot.rules_engine.facts import MISSING, IntColumn, JobTable, RddInfo, StageTable

Masker = Callable[[str], str]


@dataclass(slots=True)
class Stage:
    """One stage attempt while its events arrive."""

    id: int
    attempt: int
    submitted: int = MISSING
    completed: int = MISSING
    tasks: int = 0
    job: int = MISSING
    sql: int = MISSING
    began: bool = False
    name: str = ""
    details: str = ""
    failure: str | None = None
    parents: tuple[int, ...] = ()
    rdds: tuple[RddInfo, ...] = ()
    pool: str = "default"
    description: str | None = None
    profile: int = 0
    accumulables: dict[int, tuple[str, str]] = field(default_factory=dict)
    shown: tuple[int, ...] = ()
    push_enabled: bool = False
    push_mergers: int = 0
    described: bool = False
    excluded: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Job:
    """One job while its events arrive."""

    id: int
    submitted: int = MISSING
    completed: int = MISSING
    failed: bool = False
    sql: int = MISSING
    stages: tuple[int, ...] = ()
    name: str = ""
    description: str | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    failure: str | None = None


class Stages:
    """Stage attempts and jobs of a run, in the order of their first event."""

    def __init__(self, mask: Masker) -> None:
        self.mask = mask
        self.stages: dict[tuple[int, int], Stage] = {}
        self.jobs: dict[int, Job] = {}
        self.totals: dict[int, int] = {}
        self.job_of_stage: dict[int, int] = {}
        self.lost_starts = 0
        self.untimed = 0

    def get(self, stage: int, attempt: int) -> Stage:
        """The attempt, made when an event names it first."""
        key = (stage, attempt)
        known = self.stages.get(key)
        if known is None:
            known = self.stages[key] = Stage(stage, attempt)
        return known

    def _describe(self, info: ev.StageInfo) -> Stage:
        stage, mask = self.get(info.stage, info.attempt), self.mask
        stage.name, stage.details = mask(info.name), mask(info.details)
        stage.push_enabled, stage.push_mergers, stage.described = info.push_enabled, info.push_mergers, True
        stage.tasks, stage.parents, stage.profile = max(info.tasks, 0), info.parents, info.profile
        stage.rdds = tuple(
            RddInfo(
                r.rdd_id,
                mask(r.name),
                _masked(r.scope, mask),
                mask(r.call_site),
                r.parents,
                level_text(r.level),
                r.partitions,
                r.cached,
                r.memory,
                r.disk,
            )
            for r in info.rdds
        )
        return stage

    def job_start(self, event: ev.JobStart) -> int | None:
        """SparkListenerJobStart; returns the SQL execution that asked for it."""
        job = self.jobs.setdefault(event.job, Job(event.job))
        execution = _local(event.properties, job, self.mask)
        job.submitted = sane_ms(event.submitted)
        self.untimed += job.submitted == MISSING
        job.stages = tuple(info.stage for info in event.infos) or event.stage_ids
        self.job_of_stage.update(dict.fromkeys(job.stages, job.id))
        job.sql = MISSING if execution is None else execution
        for info in event.infos:
            if (info.stage, info.attempt) not in self.stages:
                self._describe(info)
            stage = self.get(info.stage, info.attempt)
            if stage.job == MISSING:
                stage.job, stage.sql = job.id, job.sql
        if event.infos:
            job.name = self.mask(max(event.infos, key=lambda info: info.stage).name)
        return execution

    def job_end(self, event: ev.JobEnd) -> None:
        """SparkListenerJobEnd."""
        job = self.jobs.get(event.job)
        if job is None:
            self.lost_starts += 1
            return
        job.completed = sane_ms(event.completed)
        self.untimed += job.completed == MISSING
        job.failed = event.result.result != "JobSucceeded"
        if event.result.exception is not None:
            job.failure = self.mask(event.result.exception.message or "")

    def submitted(self, event: ev.StageSubmitted) -> None:
        """SparkListenerStageSubmitted."""
        stage = self._describe(event.info)
        stage.began, stage.submitted = True, sane_ms(event.info.submitted)
        if event.properties is not None:
            stage.pool = self.mask(event.properties.pool or "default")
            stage.description = _masked(event.properties.description, self.mask)
            if stage.sql == MISSING:
                stage.sql = _number(event.properties.execution)
        if stage.job == MISSING:
            stage.job = self.job_of_stage.get(stage.id, MISSING)

    def completed(self, event: ev.StageCompleted) -> None:
        """SparkListenerStageCompleted."""
        info = event.info
        stage = self._describe(info)
        stage.began = True
        submitted = sane_ms(info.submitted)
        stage.submitted = stage.submitted if submitted == MISSING else submitted
        stage.completed = sane_ms(info.completed)
        self.untimed += stage.completed == MISSING
        if stage.completed == MISSING:
            stage.completed = stage.submitted  # it did end
        stage.failure = _masked(info.failure, self.mask)
        mask = self.mask
        stage.shown = tuple(a.id for a in info.accumulables if a.name is not None and not a.internal and a.metadata != "sql")
        for a in info.accumulables:
            stage.accumulables[a.id] = (mask(a.name or ""), mask(a.value) if isinstance(a.value, str) else str(a.value))
            if a.metadata == "sql" and (total := _whole(a.value)) is not None:
                self.totals[a.id] = total

    def rows(self, ran: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Rows by (stage, attempt); attempts that only their tasks name get one too."""
        for stage, attempt in ran:
            self.get(stage, attempt).began = True
        return {key: row for row, key in enumerate(self.stages)}

    def stage_table(self, sql_rows: dict[int, int]) -> StageTable:
        """The stages; call `rows` first."""
        every = list(self.stages.values())
        job_rows = {job: row for row, job in enumerate(self.jobs)}
        return StageTable(
            stage_id=column(s.id for s in every),
            attempt=column(s.attempt for s in every),
            submitted_ms=column(s.submitted for s in every),
            completed_ms=column(max(s.completed, s.submitted) if s.completed >= 0 else MISSING for s in every),
            n_tasks=column(s.tasks for s in every),
            failed=np.array([s.failure is not None for s in every], dtype=np.bool_),
            skipped=np.array([self._skipped(s) for s in every], dtype=np.bool_),
            job_row=column(job_rows.get(s.job, MISSING) for s in every),
            sql_row=column(sql_rows.get(s.sql, MISSING) for s in every),
            name=tuple(s.name for s in every),
            details=tuple(s.details for s in every),
            failure_reason=tuple(s.failure for s in every),
            parents=tuple(s.parents for s in every),
            rdds=tuple(s.rdds for s in every),
            pool=tuple(s.pool for s in every),
            description=tuple(s.description for s in every),
            resource_profile=column(s.profile for s in every),
            shown_accumulables=tuple(s.shown for s in every),
            push_enabled=np.array([s.push_enabled for s in every], dtype=np.bool_),
            push_mergers=column(s.push_mergers for s in every),
            described=np.array([s.described for s in every], dtype=np.bool_),
            excluded_executors=tuple(tuple(s.excluded) for s in every),
            accumulables=tuple(s.accumulables for s in every),
        )

    def _skipped(self, stage: Stage) -> bool:
        job = self.jobs.get(stage.job)
        return not stage.began and job is not None and job.completed != MISSING

    def job_table(self, sql_rows: dict[int, int]) -> JobTable:
        """The jobs."""
        every = list(self.jobs.values())
        return JobTable(
            job_id=column(j.id for j in every),
            submitted_ms=column(j.submitted for j in every),
            completed_ms=column(max(j.completed, j.submitted) if j.completed >= 0 else MISSING for j in every),
            failed=np.array([j.failed for j in every], dtype=np.bool_),
            sql_row=column(sql_rows.get(j.sql, MISSING) for j in every),
            stage_ids=tuple(j.stages for j in every),
            name=tuple(j.name for j in every),
            description=tuple(j.description for j in every),
            group=tuple(j.group for j in every),
            tags=tuple(j.tags for j in every),
            failure=tuple(j.failure for j in every),
        )


def _local(properties: ev.Properties | None, job: Job, mask: Masker) -> int | None:
    if properties is None:
        return None
    job.description = _masked(properties.description, mask)
    job.group = _masked(properties.group, mask)
    job.tags = tuple(sorted(mask(tag) for tag in (properties.tags or "").split(",") if tag))
    execution = _number(properties.execution)
    return None if execution == MISSING else execution


def _masked(text: str | None, mask: Masker) -> str | None:
    return None if text is None else mask(text)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else MISSING


def _whole(value: object) -> int | None:
    if isinstance(value, str) and 0 < len(value) < 20 and value.removeprefix("-").isdecimal() and value.isascii():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def column(values: Iterable[int]) -> IntColumn:
    low, high = -(1 << 63), (1 << 63) - 1
    return np.array([max(min(value, high), low) for value in values], dtype=np.int64)


def level_text(level: ev.StorageLevel) -> str:
    """The storage level as Spark's `StorageLevel.description` words it."""
    words = []
    if level.disk:
        words.append("Disk")
    if level.memory:
        words.append("Memory (off heap)" if level.off_heap else "Memory")
    words.append("Deserialized" if level.deserialised else "Serialized")
    words.append(f"{level.replication}x Replicated")
    return " ".join(words)
