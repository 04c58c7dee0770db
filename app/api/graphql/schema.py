"""What can be asked: runs, their findings, figures and tables, from one end or the other. Names are those of the REST answers, in camel case."""

import inspect
import json
from collections.abc import Awaitable, Callable, Hashable
from enum import Enum
from typing import Any, NewType, TypeVar, cast

import strawberry
from fastapi.concurrency import run_in_threadpool
from graphql import GraphQLError
from strawberry.dataloader import DataLoader
from strawberry.extensions import MaxTokensLimiter
from strawberry.scalars import JSON
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from spark_copilot.app.api.graphql.caps import MAX_PAGE, Caps
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage import models
from spark_copilot.storage.run_reader import RunReader, encoded

MAX_TOKENS = 1_000
"""Words and signs of one question."""
TITLES = {rule.code: rule.title for rule in RULES}

Long = NewType("Long", int)
"""Milliseconds and bytes: more than the 32 bits of GraphQL's Int."""


@strawberry.enum(description="How far a run is.")
class RunStatus(Enum):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@strawberry.enum(description="Share of the wall clock at stake.")
class Severity(Enum):
    """Share of the wall clock at stake."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


F = TypeVar("F", bound=Callable[..., Any])


def shown(function: F) -> F:
    """A field whose description is its docstring."""
    return cast(F, strawberry.field(resolver=function, description=inspect.getdoc(function)))


class Asking:
    """One request: who asks, and what has been read for it. Each kind of thing is read once for all the runs that want it."""

    def __init__(self, service: Service, tenant: str) -> None:
        self.service, self.reader = service, RunReader(service.database, tenant)
        self._loaders: dict[Hashable, DataLoader[str, Any]] = {}

    def many(self, kind: Hashable, read: Callable[[list[str]], dict[str, Any]], run_id: str) -> Awaitable[Any]:
        """Of one run, what `read` finds for all runs that are asked about at the same moment; None where it finds nothing."""
        return self._loader(kind, read).load(run_id)

    def know(self, runs: list[models.Run]) -> None:
        """These have been read: what hangs on them finds its way back without asking."""
        self._loader("runs", self.reader.runs).prime_many({run.id: run for run in runs})

    def _loader(self, kind: Hashable, read: Callable[[list[str]], dict[str, Any]]) -> DataLoader[str, Any]:
        if kind not in self._loaders:

            async def load(keys: list[str]) -> list[Any]:
                found = await run_in_threadpool(read, keys)
                return [found.get(key) for key in keys]

            self._loaders[kind] = DataLoader(load_fn=load)
        return self._loaders[kind]

    async def muted(self) -> frozenset[str]:
        """Fingerprints that nobody wants to see."""

        def read(_: list[str]) -> dict[str, Any]:
            return {"": frozenset(row.fingerprint for row in self.service.repository.mutes(self.reader.tenant))}

        found: frozenset[str] = await self.many("mutes", read, "")
        return found

    def reports(self, run_ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """The reports of these runs as JSON, in the order of their logs."""
        runs, found = self.reader.runs(run_ids), self.reader.reports_of(run_ids)
        texts: dict[str, list[dict[str, Any]]] = {}
        for run_id, stored in found.items():
            folder = runs[run_id].results or ""
            texts[run_id] = [json.loads(self.service.repository.report_text(one, self.service.files.path(folder))) for one in stored]
        return texts

    def verdicts(self, run_ids: list[str]) -> dict[str, dict[str, str]]:
        """What was said of findings, by run."""
        found: dict[str, dict[str, str]] = {}
        for (run_id, key), verdict in self.reader.verdicts_of(run_ids).items():
            found.setdefault(run_id, {})[key] = verdict
        return found


Info = strawberry.Info[Asking, None]


def page_size(first: int) -> int:
    """The length of a list, as it is asked for.

    Raises:
        UsageError: none, or too many.
    """
    if not 1 <= first <= MAX_PAGE:
        raise UsageError(f"`first` is between 1 and {MAX_PAGE}")
    return first


@strawberry.type(description="The application of a log; the first one when it holds several.")
class Application:
    """Which application it was."""

    id: str
    name: str
    job: str


@strawberry.type(description="Why a run failed.")
class RunError:
    """Why a run failed."""

    code: str
    detail: str
    hint: str


@strawberry.type(description="Figures of one application of a run.")
class Metrics:
    """Figures of one application of a run."""

    run_id: strawberry.ID
    application: int = strawberry.field(description="Number of the application in the log, from 0.")
    app_id: str
    attempt: str | None
    job: str
    complete: bool
    started_ms: Long
    wall_ms: Long
    executors_max: Long
    cores_max: Long
    core_used_ms: Long | None
    core_idle_ms: Long | None
    core_failed_ms: Long | None
    findings: int
    saving_ms: Long = strawberry.field(description="The largest single saving: what can come back at least.")

    @shown
    async def run(self, info: Info) -> "Run | None":
        """The run these are of."""
        return await _run(info, self.run_id)

    @classmethod
    def of(cls, row: models.RunMetrics) -> "Metrics":
        """The row."""
        return cls(
            run_id=strawberry.ID(row.run_id), application=row.number, app_id=row.app_id, attempt=row.attempt, job=row.job,
            complete=row.complete, started_ms=Long(row.started_ms), wall_ms=Long(row.wall_ms), executors_max=Long(row.executors_max),
            cores_max=Long(row.cores_max), core_used_ms=_long(row.core_used_ms), core_idle_ms=_long(row.core_idle_ms),
            core_failed_ms=_long(row.core_failed_ms), findings=row.findings, saving_ms=Long(row.saving_ms),
        )  # fmt: skip


@strawberry.type(description="A finding of a run.")
class Finding:
    """A finding of a run."""

    run_id: strawberry.ID
    application: int = strawberry.field(description="Number of the application in the log, from 0.")
    rank: int = strawberry.field(description="0 is the most valuable.")
    key: str
    code: str
    title: str
    fingerprint: str = strawberry.field(description="The same in every run of the job.")
    severity: Severity
    wall_saving_ms: Long | None = strawberry.field(description="What mending it saves, the middle of the interval.")

    @shown
    async def run(self, info: Info) -> "Run | None":
        """The run it was found in."""
        return await _run(info, self.run_id)

    @shown
    async def muted(self, info: Info) -> bool:
        """Whether its kind is silenced for the tenant."""
        return self.fingerprint in await info.context.muted()

    @shown
    async def feedback(self, info: Info) -> str | None:
        """useful, wrong or done, when somebody said so."""
        said = await info.context.many("verdicts", info.context.verdicts, self.run_id)
        return None if said is None else said.get(self.key)

    @shown
    async def detail(self, info: Info) -> JSON | None:
        """All of it, as in the JSON report: evidence, because, changes, saving with its interval, sources."""
        reports = await info.context.many("reports", info.context.reports, self.run_id)
        if reports is None or self.application >= len(reports):
            return None
        return next((one for one in reports[self.application]["findings"] if one["key"] == self.key), None)

    @classmethod
    def of(cls, row: models.FindingRow) -> "Finding":
        """The row."""
        return cls(
            run_id=strawberry.ID(row.run_id), application=row.number, rank=row.rank, key=row.key, code=row.code,
            title=TITLES.get(row.code, row.code), fingerprint=row.fingerprint, severity=Severity(row.severity),
            wall_saving_ms=_long(row.wall_saving_ms),
        )  # fmt: skip


@strawberry.type(description="A table that a run read or wrote.")
class Table:
    """A table that a run read or wrote."""

    run_id: strawberry.ID
    application: int = strawberry.field(description="Number of the application in the log, from 0.")
    name: str
    seen_ms: Long
    record: JSON = strawberry.field(description="What the log says of it, as in `facts.tables` of the report.")

    @shown
    async def run(self, info: Info) -> "Run | None":
        """The run that saw it."""
        return await _run(info, self.run_id)

    @classmethod
    def of(cls, row: models.TableSeen) -> "Table":
        """The row."""
        return cls(
            run_id=strawberry.ID(row.run_id), application=row.number, name=row.name, seen_ms=Long(row.seen_ms), record=JSON(row.record)
        )


@strawberry.type(description="A page of findings; `next` goes into `after`.")
class FindingPage:
    """A page of findings."""

    items: list[Finding]
    next: str | None


@strawberry.type(description="A page of tables; `next` goes into `after`.")
class TablePage:
    """A page of tables."""

    items: list[Table]
    next: str | None


@strawberry.type(description="One uploaded log, from upload to report. Times are UTC epoch milliseconds.")
class Run:
    """One uploaded log."""

    row: strawberry.Private[models.Run]

    @shown
    def id(self) -> strawberry.ID:
        """Its id."""
        return strawberry.ID(self.row.id)

    @shown
    def status(self) -> RunStatus:
        """How far it is."""
        return RunStatus(self.row.status)

    @shown
    def filename(self) -> str | None:
        """What the client called it."""
        return self.row.filename

    @shown
    def size_bytes(self) -> Long:
        """Bytes as sent."""
        return Long(self.row.size_bytes)

    @shown
    def content_hash(self) -> str:
        """SHA-256 of the bytes sent."""
        return self.row.content_hash

    @shown
    def created_ms(self) -> Long:
        """When it was uploaded."""
        return Long(self.row.created_ms)

    @shown
    def finished_ms(self) -> Long | None:
        """When it ended."""
        return _long(self.row.finished_ms)

    @shown
    def application(self) -> Application | None:
        """The application of the log."""
        if self.row.app_id is None:
            return None
        return Application(id=self.row.app_id, name=self.row.app_name or "", job=self.row.job or "")

    @shown
    def applications(self) -> int:
        """Reports of the run, once it is done."""
        return self.row.applications

    @shown
    def error(self) -> RunError | None:
        """Why it failed."""
        error = self.row.error
        if error is None:
            return None
        return RunError(code=str(error.get("code", "")), detail=str(error.get("detail", "")), hint=str(error.get("hint", "")))

    @shown
    async def findings(self, info: Info, first: int = 20, after: str | None = None, severity: Severity | None = None) -> FindingPage:
        """Its findings, most valuable first."""
        length, wanted = page_size(first), severity.value if severity is not None else None
        reader = info.context.reader
        rows = await info.context.many(
            ("findings", length, after, wanted),
            lambda ids: reader.findings_of(ids, first=length, after=after, severity=wanted),
            self.row.id,
        )
        rows = rows or []
        last = rows[length - 1] if len(rows) > length else None
        return FindingPage(items=[Finding.of(row) for row in rows[:length]], next=None if last is None else encoded(last.number, last.rank))

    @shown
    async def metrics(self, info: Info) -> list[Metrics]:
        """The figures of each application in the log."""
        rows = await info.context.many("metrics", info.context.reader.metrics_of, self.row.id)
        return [Metrics.of(row) for row in rows or []]

    @shown
    async def tables(self, info: Info, first: int = 20, after: str | None = None) -> TablePage:
        """The tables that it read or wrote."""
        length, reader = page_size(first), info.context.reader
        rows = await info.context.many(("tables", length, after), lambda ids: reader.tables_of(ids, first=length, after=after), self.row.id)
        rows = rows or []
        last = rows[length - 1] if len(rows) > length else None
        return TablePage(items=[Table.of(row) for row in rows[:length]], next=None if last is None else encoded(last.number, last.position))


@strawberry.type(description="A page of runs; `next` goes into `after`.")
class RunPage:
    """A page of runs."""

    items: list[Run]
    next: str | None


@strawberry.type
class Query:
    """Everything is the caller's tenant's own."""

    @shown
    async def runs(
        self, info: Info, first: int = 20, after: str | None = None, status: RunStatus | None = None, job: str | None = None
    ) -> RunPage:
        """Runs, the newest first."""
        asking, length = info.context, page_size(first)
        wanted = status.value if status is not None else None
        rows, more = await run_in_threadpool(
            lambda: asking.service.repository.runs(asking.reader.tenant, status=wanted, job=job, cursor=after, limit=length)
        )
        asking.know(rows)
        return RunPage(items=[Run(row=row) for row in rows], next=more)

    @shown
    async def run(self, info: Info, id: strawberry.ID) -> Run | None:  # noqa: A002
        """One run; null when there is none of this id."""
        return await _run(info, id)

    @shown
    async def findings(
        self,
        info: Info,
        first: int = 20,
        after: str | None = None,
        code: str | None = None,
        severity: Severity | None = None,
        fingerprint: str | None = None,
    ) -> FindingPage:
        """Findings of all runs, those of the newest run first."""
        reader, length = info.context.reader, page_size(first)
        wanted = severity.value if severity is not None else None
        rows, more = await run_in_threadpool(
            lambda: reader.findings(first=length, after=after, code=code, severity=wanted, fingerprint=fingerprint)
        )
        return FindingPage(items=[Finding.of(row) for row in rows], next=more)

    @shown
    async def metrics(self, info: Info, job: str, first: int = 20) -> list[Metrics]:
        """Figures of the runs of a job, the last started first."""
        asking, length = info.context, page_size(first)
        rows = await run_in_threadpool(lambda: asking.service.metrics.history(asking.reader.tenant, job, limit=length))
        return [Metrics.of(row) for row in rows]

    @shown
    async def tables(self, info: Info, first: int = 20, after: str | None = None, name: str | None = None) -> TablePage:
        """Tables as runs saw them, the last seen first."""
        reader, length = info.context.reader, page_size(first)
        rows, more = await run_in_threadpool(lambda: reader.tables(first=length, after=after, name=name))
        return TablePage(items=[Table.of(row) for row in rows], next=more)


class _Schema(strawberry.Schema):
    """Failures are told by the route; strawberry's own log would hold the question."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing."""
        del errors, execution_context


SCHEMA = _Schema(
    query=Query,
    extensions=[lambda: MaxTokensLimiter(MAX_TOKENS), Caps],
    config=StrawberryConfig(
        scalar_map={Long: strawberry.scalar(name="Long", description="A whole number of up to 64 bits.", serialize=int, parse_value=int)},
        disable_field_suggestions=False,
    ),
)


def _long(value: int | None) -> Long | None:
    return None if value is None else Long(value)


async def _run(info: Info, run_id: str) -> Run | None:
    found = await info.context.many("runs", info.context.reader.runs, run_id)
    return None if found is None else Run(row=found)
