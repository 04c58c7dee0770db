"""Events of one application -> `AppRun`, in one pass."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog import events_connect as connect_events
from spark_copilot.connectors.eventlog import events_sql as sql_events
from spark_copilot.connectors.eventlog.build_connect import MAX_OPERATIONS, Connect
from spark_copilot.connectors.eventlog.build_executors import Executors
from spark_copilot.connectors.eventlog.build_late import Lateness
from spark_copilot.connectors.eventlog.build_sql import Sql
from spark_copilot.connectors.eventlog.build_stages import Stages
from spark_copilot.connectors.eventlog.build_storage import Storage
from spark_copilot.connectors.eventlog.build_tasks import CHUNK, HORIZON_MS, Tasks, keep_peaks, sane_ms
from spark_copilot.connectors.eventlog.sql_detail import SqlDetail
from spark_copilot.rules_engine.facts import (
    LOCALITIES,
    MISSING,
    Application,
    AppRun,
    Environment,
    IntColumn,
    Quality,
    Resubmission,
    RunningTask,
)
from spark_copilot.rules_engine.redact import Redactor, map_texts

MAX_ISSUES = 40


class Builder:
    """Takes events one by one; `build` ends it. `handle` never fails on a decoded event."""

    def __init__(self, name: str, *, detail: bool = False) -> None:
        self.name = name
        self.detail = SqlDetail() if detail else None
        self.live: dict[int, ev.TaskStart] = {}
        self.redactor = Redactor()
        self.mask = mask = self.redactor.text
        self.tasks, self.stages, self.executors, self.sql = Tasks(mask), Stages(mask), Executors(mask), Sql(self.redactor)
        self.tasks.detail, self.sql.detail = detail, self.detail
        self.storage = Storage(mask)
        self.connect = Connect(mask)
        self.version = ""
        self.start: ev.ApplicationStart | None = None
        self.ended = MISSING
        self.exit_code: int | None = None
        self.latest = MISSING
        self.earliest = MISSING
        self.environment = Environment()
        self.profiles: dict[int, Mapping[str, Any]] = {}
        self.app_id: str | None = None
        self.app_name: str | None = None
        self.unknown: Counter[str] = Counter()
        self.bad_lines = 0
        self.issues: list[str] = []
        self.more_issues = 0
        self.truncated = self.compacted = False
        self.lateness = Lateness()
        self._handlers: dict[type[Any], Callable[[Any], Any]] = {
            ev.JobStart: self._job_start,
            ev.JobEnd: self._job_end,
            ev.StageSubmitted: self._stage_submitted,
            ev.StageCompleted: self._stage_completed,
            sql_events.SqlStart: self._sql_plan(self.sql.start),
            sql_events.SqlUpdate: self._sql_plan(self.sql.update),
            sql_events.SqlMetricUpdates: self._sql_plan(self.sql.metric_updates),
            sql_events.DriverUpdates: self._driver_updates,
            sql_events.SqlEnd: self._sql_end,
            sql_events.QueryProgress: self.sql.progress,
            ev.ExecutorAdded: self._executor_added,
            ev.ExecutorRemoved: self._executor_removed,
            ev.BlockManagerAdded: self._block_manager,
            ev.BlockUpdated: self.storage.updated,
            ev.UnpersistRdd: self.storage.unpersisted,
            ev.StageExecutorMetrics: self._stage_metrics,
            ev.LogStart: self._log_start,
            ev.ApplicationStart: self._app_start,
            ev.ApplicationEnd: self._app_end,
            ev.EnvironmentUpdate: self._environment,
            ev.ResourceProfile: self._profile,
            connect_events.OperationStarted: self.connect.started,
            ev.ProcessAdded: self.executors.process,
        }

    @property
    def empty(self) -> bool:
        """Whether nothing of an application has been seen yet."""
        return self.start is None and not self.stages.jobs and not len(self.tasks) and not self.executors.by_id

    @property
    def full(self) -> bool:
        """Whether further issues are only counted."""
        return len(self.issues) >= MAX_ISSUES

    def issue(self, text: str) -> None:
        """Note what was wrong, with its place; beyond a few dozen only counted."""
        if not self.full:
            self.issues.append(text)
        else:
            self.more_issues += 1

    def handle(self, kind: str, event: Any) -> None:
        """Take one decoded event of this name."""
        if kind in ev.EXCLUSIONS:
            self._excluded(event, ev.EXCLUSIONS[kind])
            return
        if kind in connect_events.STEPS:
            self.connect.step(event, connect_events.STEPS[kind])
            self.see(event.time)
            return
        if isinstance(event, connect_events.SessionChange):
            (self.connect.session_closed if kind.endswith("Closed") else self.connect.session_started)(event)
            self.see(event.time)
            return
        if isinstance(event, ev.TaskEnd):
            self.task_end(event)
            return
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
            self._clock(event)

    def task_end(self, event: ev.TaskEnd) -> None:
        """Take a task end."""
        self.tasks.pending.append(event)
        if self.detail is not None and isinstance(event, ev.DetailedEnd):
            self.detail.task_end(event)
            self.live.pop(event.info.task_id, None)
            if self.lateness.task_end(event, event.info.executor in self.tasks.gone):
                job = self.stages.get(event.stage, event.stage_attempt).job
                if job in self.lateness.job_ends:
                    self.tasks.flush()
                    self.lateness.job_ends[job] = len(self.tasks)
            event.info.updates = ()
        if len(self.tasks.pending) >= CHUNK:
            self.tasks.flush()

    def task_start(self, event: ev.TaskStart) -> None:
        """Take a task start; they are decoded only for detail."""
        self.tasks.started += 1
        self.live[event.info.task_id] = event
        if self.detail is not None:
            self.detail.task_start(event)
            self.lateness.task_start(event)

    def _excluded(self, event: ev.ExecutorMark, excluded: bool) -> None:
        for one in self.executors.marked(event):
            if event.stage == MISSING:
                one.excluded = excluded
                continue
            stage = self.stages.stages.get((event.stage, event.attempt))
            if stage is None or not stage.began or stage.completed != MISSING:
                continue
            stage.excluded += [one.id] if one.id not in stage.excluded else []
            if one.removed == MISSING and event.stage not in one.excluded_in:
                one.excluded_in.append(event.stage)

    def _block_manager(self, event: ev.BlockManagerAdded) -> None:
        self.executors.block_manager(event)
        self.storage.block_manager(event)

    def _executor_added(self, event: ev.ExecutorAdded) -> None:
        self.executors.added(event)
        self.storage.added(event.executor)
        self.tasks.gone.discard(event.executor)

    def _executor_removed(self, event: ev.ExecutorRemoved) -> None:
        self.tasks.flush()  # what ended before is counted to a living executor
        self.executors.removed(event)
        self.storage.removed(event.executor)
        self.tasks.gone.add(event.executor)

    def _job_end(self, event: ev.JobEnd) -> None:
        self.stages.job_end(event)
        job = self.stages.jobs.get(event.job)
        if job is not None and job.completed == MISSING:
            job.completed = max(self.latest, job.submitted)
        if self.detail is not None:
            self.detail.job_end(event.job)
            self.tasks.flush()
            self.lateness.job_ends[event.job] = len(self.tasks)

    def _stage_submitted(self, event: ev.StageSubmitted) -> None:
        self.stages.submitted(event)
        self.storage.stage_submitted(event.info)
        if self.detail is not None:
            self.detail.stage_submitted(event.info)

    def _stage_completed(self, event: ev.StageCompleted) -> None:
        self.stages.completed(event)
        for name in self.stages.get(event.info.stage, event.info.attempt).excluded:
            one = self.executors.get(name)
            if one.removed == MISSING:  # one that left before keeps the mark, on Spark's pages too
                one.excluded_in = [stage for stage in one.excluded_in if stage != event.info.stage]
        if self.detail is not None:
            self.lateness.stage_completed((event.info.stage, event.info.attempt))

    def _sql_plan(self, take: Callable[[Any], None]) -> Callable[[Any], None]:
        def handler(event: Any) -> None:
            take(event)
            if self.detail is not None:
                self.detail.metrics(event.id, [(m.accumulator, m.kind) for m in self.sql.get(event.id).metrics.values()])

        return handler

    def _driver_updates(self, event: sql_events.DriverUpdates) -> None:
        self.sql.driver_updates(event)
        if self.detail is not None:
            self.detail.driver(event.id, event.updates)

    def _sql_end(self, event: sql_events.SqlEnd) -> None:
        self.sql.end(event)
        if self.detail is not None:
            self.detail.end(event.id)

    def _stage_metrics(self, event: ev.StageExecutorMetrics) -> None:
        self.executors.stage_metrics(event)
        if self.detail is not None:
            key = (event.stage, event.attempt, event.executor)
            keep_peaks(self.tasks.stage_peaks.setdefault(key, {}), event.metrics)

    def _clock(self, event: Any) -> None:
        if isinstance(event, ev.ExecutorAdded | ev.ExecutorRemoved | ev.BlockManagerAdded):
            return  # executors come and go long after the work, and their clocks have been seen years off
        for name in ("time", "submitted", "completed"):
            self.see(getattr(event, name, MISSING))
        info = getattr(event, "info", None)
        if isinstance(info, ev.StageInfo):
            self.see(info.submitted)
            self.see(info.completed)

    def see(self, time: object) -> None:
        """Let a time widen the span of the log; absurd ones do not."""
        if isinstance(time, int) and 0 < time < HORIZON_MS:
            self.latest = max(self.latest, time)
            self.earliest = time if self.earliest == MISSING else min(self.earliest, time)

    def _job_start(self, event: ev.JobStart) -> None:
        execution = self.stages.job_start(event)
        job = self.stages.jobs[event.job]
        if job.submitted == MISSING:
            job.submitted = max(self.latest, 0)
        if execution is not None:
            if self.detail is not None:
                self.detail.job_start(event.job, execution, event.infos, event.stage_ids or [info.stage for info in event.infos])
            jobs = self.sql.get(execution).jobs
            if event.job not in jobs:
                jobs.append(event.job)
        if event.properties is not None:
            self.app_id = self.app_id or event.properties.app_id
            self.app_name = self.app_name or event.properties.app_name

    def _log_start(self, event: ev.LogStart) -> None:
        self.version = event.version or self.version

    def _app_start(self, event: ev.ApplicationStart) -> None:
        self.start = event
        if event.driver_logs is not None and "driver" in self.executors.by_id:
            driver = self.executors.by_id["driver"]
            driver.log_urls = {k: self.mask(v) for k, v in event.driver_logs.items()}
            driver.attributes = {k: self.mask(v) for k, v in (event.driver_attributes or {}).items()}

    def _app_end(self, event: ev.ApplicationEnd) -> None:
        self.ended = event.time
        self.exit_code = event.exit_code

    def _environment(self, event: ev.EnvironmentUpdate) -> None:
        settings = {"spark": event.spark, "system": event.system, "hadoop": event.hadoop, "jvm": event.jvm, "metrics": event.metrics}
        masked = {name: self.redactor.settings({k: str(v) for k, v in group.items()}) for name, group in settings.items()}
        classpath = {self.mask(k): self.mask(str(v)) for k, v in event.classpath.items()}  # keys are files, whatever words are in them
        self.environment = Environment(**masked, classpath=classpath)

    def _profile(self, event: ev.ResourceProfile) -> None:
        self.profiles[event.id] = map_texts({"executor": event.executor, "task": event.task}, self.mask)

    def build(self) -> AppRun:
        """The run. The builder is spent afterwards."""
        self.tasks.flush()
        if self.detail is not None:
            self.detail.close()
        tasks = self.tasks
        pairs = tasks.stages()
        if len(pairs) and pairs.min() >= 0 and pairs[:, 0].max() < 1 << 40 and pairs[:, 1].max() < 1 << 20:
            _, first, inverse = np.unique((pairs[:, 0] << 20) + pairs[:, 1], return_index=True, return_inverse=True)
        else:  # ids that no Spark gives: slower, and right for them too
            _, first, inverse = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
        distinct = [(int(stage), int(attempt)) for stage, attempt in pairs[first]]
        extra = [(t.stage, t.stage_attempt) for t in self._outside()]
        rows = self.stages.rows([*distinct, *extra])
        stage_rows = np.array([rows[key] for key in distinct], dtype=np.int64)[inverse.reshape(-1)]
        table, wrong = tasks.table(stage_rows, self._executor_rows(), len(tasks.errors))
        for what, count in wrong.items():
            self.issue(f"{count:,} {what}")
        if len(table):
            self.see(int(table.finish_ms.max()))
            self.see(int(table.launch_ms.min()))
        sql_rows = {execution: row for row, execution in enumerate(self.sql.by_id)}
        missing = max(tasks.started - len(table), 0)
        if missing:
            self.issue(f"{missing:,} tasks began and their ends are not in the log")
        run = AppRun(
            app=self._application(),
            environment=self.environment,
            tasks=table,
            stages=self.stages.stage_table(sql_rows),
            jobs=self.stages.job_table(sql_rows),
            executors=self.executors.table(self.storage),
            sql=self.sql.table(self.stages.totals),
            streaming=tuple(self.sql.streaming),
            errors=tuple(tasks.errors),
            resource_profiles=self.profiles,
            quality=self._quality(missing),
            running=self._running(rows),
            resubmitted=self._resubmitted(rows),
            stage_peaks=self._stage_peaks(rows),
            late=self.lateness.seen(),
            cached=self.storage.table(),
            processes=tuple(self.executors.processes.values()),
            operations=self.connect.table(
                ((job.id, job.tags) for job in self.stages.jobs.values()), ((one.id, one.tags, one.jobs) for one in self.sql.by_id.values())
            ),
            sessions=tuple(self.connect.sessions.values()),
        )
        return self.redactor.everywhere(run)

    def _outside(self) -> list[ev.TaskEnd | ev.TaskStart]:
        """Tasks that have a place and no row of their own: resubmitted and running ones."""
        return [*(end for end, _ in self.tasks.resubmitted), *self.live.values()]

    def _running(self, rows: dict[tuple[int, int], int]) -> tuple[RunningTask, ...]:
        executors = {name: row for row, name in enumerate(self.executors.by_id)}
        return tuple(
            RunningTask(
                t.info.task_id,
                t.info.index,
                t.info.attempt,
                max(t.info.partition, MISSING),
                rows[t.stage, t.stage_attempt],
                executors[self.executors.get(t.info.executor).id],
                max(sane_ms(t.info.launch), 0),
                LOCALITIES.index(t.info.locality) if t.info.locality in LOCALITIES else MISSING,
                t.info.speculative,
            )
            for t in self.live.values()
        )

    def _resubmitted(self, rows: dict[tuple[int, int], int]) -> tuple[Resubmission, ...]:
        executors = {name: row for row, name in enumerate(self.executors.by_id)}
        return tuple(
            Resubmission(
                t.info.task_id,
                rows[t.stage, t.stage_attempt],
                executors[self.executors.get(t.info.executor).id],
                max(sane_ms(t.info.finish) - sane_ms(t.info.launch), 0),
                alive,
            )
            for t, alive in self.tasks.resubmitted
        )

    def _stage_peaks(self, rows: dict[tuple[int, int], int]) -> dict[tuple[int, int], dict[str, int]]:
        executors = {name: row for row, name in enumerate(self.executors.by_id)}
        return {
            (rows[stage, attempt], executors[self.executors.get(name).id]): peaks
            for (stage, attempt, name), peaks in self.tasks.stage_peaks.items()
            if (stage, attempt) in rows and self.executors.get(name).id in executors
        }

    def _executor_rows(self) -> IntColumn:
        for name, host in self.tasks.hosts.items():
            one = self.executors.get(name)
            one.host = one.host or host
        for task in self._outside():
            self.executors.get(task.info.executor)
        for name, peaks in self.tasks.peaks.items():
            keep_peaks(self.executors.get(name).peaks, peaks)
        row_of = {name: row for row, name in enumerate(self.executors.by_id)}
        rows = np.array([row_of[self.executors.get(name).id] for name in self.tasks.executors], dtype=np.int64)
        codes = np.array(self.tasks.executor, dtype=np.int64)
        return rows[codes] if len(codes) else codes

    def _application(self) -> Application:
        start = self.start or ev.ApplicationStart()
        if self.start is None:
            self.issue("the log has no application start: its first part is missing")
        begun = start.time if 0 < start.time < HORIZON_MS else max(self.earliest, 0)
        conf = self.environment.spark
        ended = self.ended if 0 < self.ended < HORIZON_MS else MISSING
        if ended != MISSING and ended < begun:
            self.issue("the application ends before it starts: its last event is taken as the end")
            ended = max(self.latest, begun)
        return Application(
            id=start.id or self.app_id or conf.get("spark.app.id") or self.name,
            name=self.mask(start.name or self.app_name or conf.get("spark.app.name") or self.name),
            user=self.mask(start.user),
            spark_version=self.version,
            started_ms=begun,
            ended_ms=ended,
            last_event_ms=max(self.latest, begun),
            attempt=start.attempt,
            exit_code=self.exit_code,
        )

    def _quality(self, missing: int) -> Quality:
        if self.ended == MISSING:
            self.issue("the log has no application end: the last event is taken as the end")
        if self.connect.left_out:
            self.issue(f"{self.connect.left_out:,} Spark Connect operations beyond the first {MAX_OPERATIONS:,} are left out")
        if self.stages.lost_starts:
            self.issue(f"{self.stages.lost_starts:,} jobs end whose start is not in the log")
        if self.stages.untimed:
            self.issue(f"{self.stages.untimed:,} times of jobs and stages missing or out of any range")
        if self.executors.too_many_cores:
            self.issue(f"{self.executors.too_many_cores:,} executors claim more cores than any machine has: theirs are not known")
        if self.more_issues:
            self.issues.append(f"and {self.more_issues:,} more like these")
        return Quality(self.bad_lines, missing, self.compacted, self.truncated, dict(self.unknown), tuple(self.issues))
