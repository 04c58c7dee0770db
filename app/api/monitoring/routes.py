"""The routes of Spark's monitoring API, to be mounted under `/api/v1`."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.requests import Request

from spark_copilot.app.access import TooMany
from spark_copilot.app.api.caller import KeyInUrl
from spark_copilot.app.api.errors import problems
from spark_copilot.app.api.monitoring import executors, jobs, listing, sql, stages
from spark_copilot.app.api.monitoring.answers import Answers
from spark_copilot.app.api.monitoring.environment import environment_json
from spark_copilot.app.api.monitoring.storage import rdd_json
from spark_copilot.app.api.monitoring.store import Store, application_json, attempt_json
from spark_copilot.app.api.monitoring.totals import Totals
from spark_copilot.rules_engine.errors import AuthError, CopilotError, NotFound, Unavailable, UsageError

VERSION = "4.3.0"
"""The Spark whose answers these are."""
DEFAULT_QUANTILES = "0.05,0.25,0.5,0.75,0.95"


AppId = Annotated[str, Path(description="Id of the application.")]
AttemptId = Annotated[str, Path(description="Id of one of its attempts.", examples=["1"])]


class Answer(JSONResponse):
    """JSON as Jackson writes it."""

    def render(self, content: Any) -> bytes:
        """Compact bytes."""
        try:
            return orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a number beyond 64 bits, or half a surrogate pair, from a log that lies
            return json.dumps(content, separators=(",", ":")).encode()


class _Known(Exception):
    """Ends the work on a request whose answer was written out before."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


class _SparkRoute(APIRoute):
    """Errors as the History Server words them: a status and one plain sentence. Answers about runs that are over are kept as they were sent."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                answer: Response = await inner(request)
                if isinstance(answer, Answer) and (keep := getattr(request.state, "keep", None)) is not None:
                    keep(bytes(answer.body))
                return answer
            except _Known as known:
                return Response(known.body, media_type="application/json")
            except (AuthError, TooMany, KeyInUrl, Unavailable):
                raise  # of the door, not of the application: answered as on every other route
            except RequestValidationError:
                return PlainTextResponse("HTTP 404 Not Found", 404)
            except (UsageError, ValueError) as error:
                return PlainTextResponse(str(error), 400)
            except CopilotError as error:
                return PlainTextResponse(str(error), 404)

        return handler


_SENTENCE = {"text/plain": {"schema": {"type": "string"}}}


def _answers(kind: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the History Server's, in its shapes, and its errors as the plain sentences that they are there."""
    schemas: dict[str, Any] = {"object": {"type": "object"}, "list": {"type": "array", "items": {"type": "object"}}}
    file = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {
        200: {
            "description": "as the History Server answers",
            "content": {"application/json": {"schema": schemas[kind]}} if kind in schemas else file,
        },
        400: {"description": "a parameter makes no sense", "content": {**_SENTENCE, **problems(400)[400]["content"]}},
        404: {"description": "there is no such thing", "content": _SENTENCE},
        **problems(422),
    }


_NO_THREADS: dict[int | str, dict[str, Any]] = {
    404: {"description": "there is no such application", "content": _SENTENCE},
    503: {"description": "as the History Server answers", "content": _SENTENCE},
    **problems(422),
}


_NO_STREAMING: dict[int | str, dict[str, Any]] = {
    404: {"description": "as the History Server answers", "content": _SENTENCE},
    **problems(422),
}


def monitoring_router(store: Store) -> APIRouter:
    """All routes over one store."""
    router = APIRouter(route_class=_SparkRoute, default_response_class=Answer, tags=["Spark monitoring API"])

    @router.get("/version", responses=_answers("object"))
    def version() -> Answer:
        """The Spark version whose API this is."""
        return Answer({"spark": VERSION})

    @router.get("/applications", responses=_answers("list"))
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

    @router.get("/applications/{app_id}", responses=_answers("object"))
    def application(app_id: AppId) -> Answer:
        """One application with all its attempts."""
        attempts = store.attempts().get(app_id)
        if attempts is None:
            raise NotFound(f"unknown app: {app_id}")
        return Answer(application_json(attempts))

    answers = Answers()
    for prefix in ("/applications/{app_id}", "/applications/{app_id}/{attempt_id}"):
        _add(router, prefix, store, answers)

    @router.get("/applications/{app_id}/{attempt_id}", responses=_answers("object"))
    def one_attempt(app_id: AppId, attempt_id: AttemptId) -> Answer:
        """One attempt."""
        for attempt in store.attempts().get(app_id, []):
            if attempt.app.attempt == attempt_id:
                return Answer(attempt_json(attempt))
        raise NotFound(f"unknown app {app_id}, attempt {attempt_id}")

    return router


def _add(router: APIRouter, prefix: str, store: Store, answers: Answers) -> None:
    """The routes of one attempt, which the attempt id may name."""

    def of_newest(app_id: AppId) -> tuple[str, str | None]:
        return app_id, None

    def of_named(app_id: AppId, attempt_id: AttemptId) -> tuple[str, str | None]:
        return app_id, attempt_id

    attempt = of_named if "{attempt_id}" in prefix else of_newest

    def totals(request: Request, named: Annotated[tuple[str, str | None], Depends(attempt)]) -> Totals:
        run = store.totals(*named)
        if run.settled:
            asked = f"{request.url.path}?{request.url.query}"
            if (body := answers.get(run.number, asked)) is not None:
                raise _Known(body)
            request.state.keep = partial(answers.put, run.number, asked)
        return run

    @router.get(prefix + "/jobs", responses=_answers("list"))
    def all_jobs(run: Annotated[Totals, Depends(totals)], status: Annotated[list[str] | None, Query()] = None) -> Answer:
        """Jobs, the newest first."""
        return Answer(listing.jobs(run, status))

    @router.get(prefix + "/jobs/{job_id}", responses=_answers("object"))
    def one_job(run: Annotated[Totals, Depends(totals)], job_id: int) -> Answer:
        """One job."""
        found = next((row for row, job in enumerate(run.run.jobs.job_id) if int(job) == job_id), None)
        if found is None:
            raise NotFound(f"unknown job: {job_id}")
        return Answer(jobs.job_json(run, found))

    @router.get(prefix + "/stages", responses=_answers("list"))
    def all_stages(
        run: Annotated[Totals, Depends(totals)],
        status: Annotated[list[str] | None, Query()] = None,
        details: bool = False,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
        offset: int = 0,
        length: int | None = None,
    ) -> Answer:
        """Stage attempts, the newest first."""
        rows = listing.filtered_stages(run, status)
        rows = rows[max(offset, 0) :] if length is None else rows[max(offset, 0) : max(offset, 0) + max(length, 0)]
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer([stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()) for row in rows])

    @router.get(prefix + "/stages/{stage_id}", responses=_answers("list"))
    def one_stage(
        run: Annotated[Totals, Depends(totals)],
        stage_id: int,
        details: bool = True,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
    ) -> Answer:
        """All attempts of one stage."""
        rows = [row for row in stages.listed_rows(run.run) if int(run.run.stages.stage_id[row]) == stage_id]
        if not rows:
            raise NotFound(f"unknown stage: {stage_id}")
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer([stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()) for row in reversed(rows)])

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}", responses=_answers("object"))
    def one_stage_attempt(
        run: Annotated[Totals, Depends(totals)],
        stage_id: int,
        stage_attempt: int,
        details: bool = True,
        withSummaries: bool = False,  # noqa: N803
        quantiles: str = "0.0,0.25,0.5,0.75,1.0",
        taskStatus: Annotated[list[str] | None, Query()] = None,  # noqa: N803
    ) -> Answer:
        """One stage attempt."""
        row = listing.stage_row(run, stage_id, stage_attempt)
        wanted = listing.quantiles(quantiles) if withSummaries else None
        return Answer(stages.stage_json(run, row, summaries=wanted, details=details, statuses=taskStatus or ()))

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}/taskSummary", responses=_answers("object"))
    def task_summary(
        run: Annotated[Totals, Depends(totals)], stage_id: int, stage_attempt: int, quantiles: str = DEFAULT_QUANTILES
    ) -> Answer:
        """The distribution of every task metric."""
        row = listing.stage_row(run, stage_id, stage_attempt)
        found = stages.task_distributions(run, row, listing.quantiles(quantiles))
        if found is None:
            raise NotFound(f"No tasks reported metrics for {stage_id} / {stage_attempt} yet.")
        return Answer(found)

    @router.get(prefix + "/stages/{stage_id}/{stage_attempt}/taskList", responses=_answers("list"))
    def task_list(
        run: Annotated[Totals, Depends(totals)],
        stage_id: int,
        stage_attempt: int,
        offset: int = 0,
        length: int = 20,
        sortBy: str = "ID",  # noqa: N803
        status: Annotated[list[str] | None, Query()] = None,
    ) -> Answer:
        """A page of a stage's tasks."""
        row = listing.stage_row(run, stage_id, stage_attempt)
        return Answer(listing.task_page(run, row, offset=offset, length=length, sort_by=sortBy, statuses=status or ()))

    @router.get(prefix + "/executors", responses=_answers("list"))
    def active_executors(run: Annotated[Totals, Depends(totals)]) -> Answer:
        """Executors that are alive, the last id first."""
        rows = [row for row in reversed(executors.listed_rows(run.run)) if run.run.executors.removed_ms[row] == -1]
        return Answer([executors.executor_json(run, row) for row in rows])

    @router.get(prefix + "/allexecutors", responses=_answers("list"))
    def all_executors(run: Annotated[Totals, Depends(totals)]) -> Answer:
        """Executors, the removed ones too."""
        return Answer([executors.executor_json(run, row) for row in executors.listed_rows(run.run)])

    @router.get(prefix + "/allmiscellaneousprocess", responses=_answers("list"))
    def processes(run: Annotated[Totals, Depends(totals)]) -> Answer:
        """Processes of the application that are no executors: YARN's application master."""
        return Answer([executors.process_json(one) for one in sorted(run.run.processes, key=lambda one: one.process_id)])

    @router.get(prefix + "/threads", status_code=503, response_class=PlainTextResponse, responses=_NO_THREADS)
    def task_threads(named: Annotated[tuple[str, str | None], Depends(attempt)]) -> Response:
        """The thread of a running task: the History Server has none to show either, and says so."""
        return _no_threads(store, *named)

    @router.get(prefix + "/executors/{executor_id}/threads", status_code=503, response_class=PlainTextResponse, responses=_NO_THREADS)
    def executor_threads(named: Annotated[tuple[str, str | None], Depends(attempt)], executor_id: str) -> Response:
        """Thread dumps of a running executor: the History Server has none to show either, and says so."""
        del executor_id
        return _no_threads(store, *named)

    @router.get(prefix + "/streaming/statistics", status_code=404, response_class=PlainTextResponse, responses=_NO_STREAMING)
    @router.get(prefix + "/streaming/receivers", status_code=404, response_class=PlainTextResponse, responses=_NO_STREAMING)
    @router.get(prefix + "/streaming/batches", status_code=404, response_class=PlainTextResponse, responses=_NO_STREAMING)
    def streaming(named: Annotated[tuple[str, str | None], Depends(attempt)]) -> Response:
        """DStream statistics, which no event log holds."""
        raise NotFound(f"no streaming listener attached to {store.attempt(*named).app.name}")

    @router.get(prefix + "/sql", responses=_answers("list"))
    def all_sql(
        run: Annotated[Totals, Depends(totals)],
        details: bool = True,
        planDescription: bool = True,  # noqa: N803
        offset: int = 0,
        length: int = 20,
    ) -> Answer:
        """SQL executions, the oldest first."""
        every = run.executions[max(offset, 0) : max(offset, 0) + max(length, 0)]
        return Answer([sql.sql_json(run, one, details=details, plan=planDescription) for one in every])

    @router.get(prefix + "/sql/{execution_id}", responses=_answers("object"))
    def one_sql(run: Annotated[Totals, Depends(totals)], execution_id: int, details: bool = True, planDescription: bool = True) -> Answer:  # noqa: N803
        """One SQL execution."""
        found = next((one for one in run.executions if one.sql_id == execution_id), None)
        if found is None:
            raise NotFound(f"unknown query execution id: {execution_id}")
        return Answer(sql.sql_json(run, found, details=details, plan=planDescription))

    @router.get(prefix + "/environment", responses=_answers("object"))
    def environment(run: Annotated[Totals, Depends(totals)]) -> Answer:
        """Settings of the run, secrets masked."""
        return Answer(environment_json(run.run))

    @router.get(prefix + "/storage/rdd", responses=_answers("list"))
    def storage(run: Annotated[Totals, Depends(totals)]) -> Answer:
        """Cached RDDs: none, unless the log holds block updates, which Spark does not write by default."""
        return Answer([rdd_json(run.run, rdd) for rdd in run.run.cached])

    @router.get(prefix + "/storage/rdd/{rdd_id}", responses=_answers("object"))
    def one_rdd(run: Annotated[Totals, Depends(totals)], rdd_id: int) -> Answer:
        """One cached RDD."""
        for rdd in run.run.cached:
            if rdd.rdd_id == rdd_id:
                return Answer(rdd_json(run.run, rdd))
        raise NotFound(f"no rdd found w/ id {rdd_id}")

    @router.get(prefix + "/logs", response_class=Response, responses=_answers("file"))
    def logs(named: Annotated[tuple[str, str | None], Depends(attempt)]) -> Response:
        """The attempt's event log as a zip."""
        return _zipped(store, *named)


def _no_threads(store: Store, app_id: str, attempt_id: str | None) -> Response:
    store.attempt(app_id, attempt_id)
    return PlainTextResponse("Thread dumps not available through the history server.", 503)


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
