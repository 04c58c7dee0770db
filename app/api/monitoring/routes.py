"""The routes of Spark's monitoring API, to be mounted under `/api/v1`."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from starlette.requests import Request

from spark_copilot.app.api.monitoring import executors, jobs, listing, sql, stages
from spark_copilot.app.api.monitoring.environment import environment_json
from spark_copilot.app.api.monitoring.storage import rdd_json
from spark_copilot.app.api.monitoring.store import Store, application_json, attempt_json
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.rules_engine.errors import BadInput, CopilotError, NotFound, UsageError

VERSION = "4.3.0"
"""The Spark whose answers these are."""
DEFAULT_QUANTILES = "0.05,0.25,0.5,0.75,0.95"


class Answer(Response):
    """JSON as Jackson writes it."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Compact bytes."""
        try:
            return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a number beyond 64 bits, or half a surrogate pair, from a log that lies
            return json.dumps(content, separators=(",", ":")).encode()


class _SparkRoute(APIRoute):
    """Errors as the History Server words them: a status and one plain sentence."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except NotFound as error:
                return PlainTextResponse(str(error), 404)
            except (UsageError, ValueError) as error:
                return PlainTextResponse(str(error), 400)
            except (BadInput, CopilotError) as error:
                return PlainTextResponse(str(error), 404)

        return handler


def monitoring_router(store: Store) -> APIRouter:
    """All routes over one store."""
    router = APIRouter(route_class=_SparkRoute, default_response_class=Answer, tags=["Spark monitoring API"])

    @router.get("/version")
    def version() -> Answer:
        """The Spark version whose API this is."""
        return Answer({"spark": VERSION})

    @router.get("/applications")
    def applications(
        status: Annotated[list[str] | None, Query()] = None,
        minDate: str | None = None,  # noqa: N803
        maxDate: str | None = None,  # noqa: N803
        minEndDate: str | None = None,  # noqa: N803
        maxEndDate: str | None = None,  # noqa: N803
        limit: int | None = None,
    ) -> Answer:
        """Applications, the one that ended last first."""
        wanted = {word.upper() for word in status or ("COMPLETED", "RUNNING")}
        if not wanted <= {"COMPLETED", "RUNNING"}:
            raise NotFound("HTTP 404 Not Found")
        begun = (_date("minDate", minDate, 0), _date("maxDate", maxDate, 1 << 62, end=True))
        ended = (_date("minEndDate", minEndDate, 0), _date("maxEndDate", maxEndDate, 1 << 62, end=True))
        out = []
        for attempts in store.attempts().values():
            done = attempts[0].app.ended_ms != -1
            if ("COMPLETED" if done else "RUNNING") not in wanted:
                continue
            if any(
                begun[0] <= a.app.started_ms <= begun[1]
                and (ended[0] <= a.app.ended_ms <= ended[1] or (a.app.ended_ms == -1 and minEndDate is None and maxEndDate is None))
                for a in attempts
            ):
                out.append(application_json(attempts))
        return Answer(out if limit is None else out[: max(limit, 0)])

    @router.get("/applications/{app_id}")
    def application(app_id: str) -> Answer:
        """One application with all its attempts."""
        attempts = store.attempts().get(app_id)
        if attempts is None:
            raise NotFound(f"unknown app: {app_id}")
        return Answer(application_json(attempts))

    for prefix in ("/applications/{app_id}", "/applications/{app_id}/{attempt_id}"):
        _add(router, prefix, store)

    @router.get("/applications/{app_id}/{attempt_id}")
    def one_attempt(app_id: str, attempt_id: str) -> Answer:
        """One attempt."""
        for attempt in store.attempts().get(app_id, []):
            if attempt.app.attempt == attempt_id:
                return Answer(attempt_json(attempt))
        raise NotFound(f"unknown app {app_id}, attempt {attempt_id}")

    return router


def _add(router: APIRouter, prefix: str, store: Store) -> None:
    """The routes of one attempt, which the attempt id may name."""

    def totals(request: Request) -> Totals:
        return store.totals(request.path_params["app_id"], request.path_params.get("attempt_id"))

    @router.get(prefix + "/jobs")
    def all_jobs(request: Request, status: Annotated[list[str] | None, Query()] = None) -> Answer:
        """Jobs, the newest first."""
        return Answer(listing.jobs(totals(request), status))

    @router.get(prefix + "/jobs/{job_id}")
    def one_job(request: Request, job_id: int) -> Answer:
        """One job."""
        run = totals(request)
        found = next((row for row, job in enumerate(run.run.jobs.job_id) if int(job) == job_id), None)
        if found is None:
            raise NotFound(f"unknown job: {job_id}")
        return Answer(jobs.job_json(run, found))

    @router.get(prefix + "/stages")
    def all_stages(
        request: Request,
        status: Annotated[list[str] | None, Query()] = None,
        details: bool = False,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
        offset: int = 0,
        length: int | None = None,
    ) -> Answer:
        """Stage attempts, the newest first."""
        run = totals(request)
        rows = listing.filtered_stages(run, status)
        rows = rows[max(offset, 0) :] if length is None else rows[max(offset, 0) : max(offset, 0) + max(length, 0)]
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer([stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()) for row in rows])

    @router.get(prefix + "/stages/{stage_id}")
    def one_stage(
        request: Request,
        stage_id: int,
        details: bool = True,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
    ) -> Answer:
        """All attempts of one stage."""
        run = totals(request)
        rows = [row for row in stages.listed_rows(run.run) if int(run.run.stages.stage_id[row]) == stage_id]
        if not rows:
            raise NotFound(f"unknown stage: {stage_id}")
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer([stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()) for row in reversed(rows)])

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}")
    def one_stage_attempt(
        request: Request,
        stage_id: int,
        stage_attempt: int,
        details: bool = True,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
    ) -> Answer:
        """One stage attempt."""
        run = totals(request)
        row = listing.stage_row(run, stage_id, stage_attempt)
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer(stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()))

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}/taskSummary")
    def task_summary(request: Request, stage_id: int, stage_attempt: int, quantiles: str = DEFAULT_QUANTILES) -> Answer:
        """The distribution of every task metric."""
        run = totals(request)
        row = listing.stage_row(run, stage_id, stage_attempt)
        found = stages.task_distributions(run, row, listing.quantiles(quantiles))
        if found is None:
            raise NotFound(f"No tasks reported metrics for {stage_id} / {stage_attempt} yet.")
        return Answer(found)

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}/taskList")
    def task_list(
        request: Request,
        stage_id: int,
        stage_attempt: int,
        offset: int = 0,
        length: int = 20,
        sortBy: str = "ID",  # noqa: N803
        status: Annotated[list[str] | None, Query()] = None,
    ) -> Answer:
        """A page of a stage's tasks."""
        run = totals(request)
        row = listing.stage_row(run, stage_id, stage_attempt)
        return Answer(listing.task_page(run, row, offset=offset, length=length, sort_by=sortBy, statuses=status or ()))

    @router.get(prefix + "/executors")
    def active_executors(request: Request) -> Answer:
        """Executors that are alive, the last id first."""
        run = totals(request)
        rows = [row for row in reversed(executors.listed_rows(run.run)) if run.run.executors.removed_ms[row] == -1]
        return Answer([executors.executor_json(run, row) for row in rows])

    @router.get(prefix + "/allexecutors")
    def all_executors(request: Request) -> Answer:
        """Executors, the removed ones too."""
        run = totals(request)
        return Answer([executors.executor_json(run, row) for row in executors.listed_rows(run.run)])

    @router.get(prefix + "/sql")
    def all_sql(request: Request, details: bool = True, planDescription: bool = True, offset: int = 0, length: int = 20) -> Answer:  # noqa: N803
        """SQL executions, the oldest first."""
        run = totals(request)
        every = sorted(run.run.sql, key=lambda one: one.sql_id)[max(offset, 0) : max(offset, 0) + max(length, 0)]
        return Answer([sql.sql_json(run, one, details=details, plan=planDescription) for one in every])

    @router.get(prefix + "/sql/{execution_id}")
    def one_sql(request: Request, execution_id: int, details: bool = True, planDescription: bool = True) -> Answer:  # noqa: N803
        """One SQL execution."""
        run = totals(request)
        found = next((one for one in run.run.sql if one.sql_id == execution_id), None)
        if found is None:
            raise NotFound(f"unknown query execution id: {execution_id}")
        return Answer(sql.sql_json(run, found, details=details, plan=planDescription))

    @router.get(prefix + "/environment")
    def environment(request: Request) -> Answer:
        """Settings of the run, secrets masked."""
        return Answer(environment_json(totals(request).run))

    @router.get(prefix + "/storage/rdd")
    def storage(request: Request) -> Answer:
        """Cached RDDs: none, unless the log holds block updates, which Spark does not write by default."""
        run = totals(request).run
        return Answer([rdd_json(run, rdd) for rdd in run.cached])

    @router.get(prefix + "/storage/rdd/{rdd_id}")
    def one_rdd(request: Request, rdd_id: int) -> Answer:
        """One cached RDD."""
        run = totals(request).run
        for rdd in run.cached:
            if rdd.rdd_id == rdd_id:
                return Answer(rdd_json(run, rdd))
        raise NotFound(f"no rdd found w/ id {rdd_id}")

    @router.get(prefix + "/logs")
    def logs(request: Request) -> Response:
        """The attempt's event log as a zip."""
        app_id, attempt_id = request.path_params["app_id"], request.path_params.get("attempt_id")
        return _zipped(store, app_id, attempt_id)


def _zipped(store: Store, app_id: str, attempt_id: str | None) -> Response:
    every = store.attempts().get(app_id, [])
    wanted = [a for a in every if attempt_id is None or a.app.attempt == attempt_id]
    if not wanted:
        raise NotFound(f"No event logs were found for {app_id}" + (f"/{attempt_id}" if attempt_id else ""))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for attempt in wanted:
            log = attempt.download or attempt.log
            if not log.exists():
                raise NotFound(f"The event log of {app_id} was not kept")
            if log.is_dir():
                for file in sorted(log.iterdir()):
                    if file.is_file() and not file.name.startswith("."):
                        archive.write(file, f"{log.name}/{file.name}")
            else:
                archive.write(log, log.name)
    name = f"eventLogs-{app_id}" + (f"-{attempt_id}" if attempt_id else "") + ".zip"
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    return Response(out.getvalue(), media_type="application/octet-stream", headers={"Content-Disposition": f"attachment; filename={safe}"})


def _date(name: str, text: str | None, default: int, *, end: bool = False) -> int:
    if text is None:
        return default
    try:
        when = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC)
        return int(when.timestamp() * 1000)
    except ValueError:
        pass
    try:
        when = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"Couldn't parse date: {text}") from None
    return int((when + (timedelta(days=1) if end else timedelta())).timestamp() * 1000) - end
