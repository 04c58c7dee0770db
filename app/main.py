"""The FastAPI application, put together from its nouns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from spark_copilot.app.access import Access
from spark_copilot.app.addresses import is_loopback
from spark_copilot.app.api import (
    analyze,
    audit,
    chat,
    docs_page,
    errors,
    event_logs,
    feedback,
    gate,
    graphql,
    knowledge,
    openapi,
    partition,
    replays,
    reports,
    runs,
    uploads,
)
from spark_copilot.app.api.caller import CallerDep, caller
from spark_copilot.app.api.edge import Edge
from spark_copilot.app.api.known_runs import runs_of
from spark_copilot.app.api.monitoring import AllRuns, HistoryStore, monitoring_router
from spark_copilot.app.config import Settings, load
from spark_copilot.app.service import Service
from spark_copilot.app.watch import health
from spark_copilot.app.watch.middleware import Watched
from spark_copilot.app.wiring import cache_of, chat_later, limits_of, place_of

EXPOSED = [
    "Content-Location",
    "ETag",
    "Location",
    "Retry-After",
    "Tus-Resumable",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Offset",
    "X-Request-ID",
]
"""Headers of answers that scripts of an allowed origin may read."""


def tenant(who: CallerDep) -> str:
    """Whose conversations these are."""
    return who.tenant


def create_app(settings: Settings | None = None, log_dir: Path | None = None, *, warm: bool = False, named: bool = False) -> FastAPI:
    """The application for these settings; those of the environment when none are given. With `log_dir` it is also a history server over that directory.

    `warm`: have a process ready before the first log comes. `named`: on a loopback address, answer by this machine's own names alone.
    """
    settings = settings or load()
    release = version("spark-intelligence-copilot")
    service = Service(settings, work=settings.worker_inside, warm=warm)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        await run_in_threadpool(service.start)
        yield
        await run_in_threadpool(service.stop)

    app = FastAPI(
        lifespan=lifespan,
        telemetry={
            "tracing": False,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },  # holds queries, messages
        title="Spark Intelligence Copilot",
        version=release,
        docs_url=None,
        redoc_url=None,
        summary="Hand it a Spark event log: it says what is wrong, what each fix is worth, and what to change.",
    )
    app.state.service = service
    app.state.access = access = Access(service)
    if origins := [word.strip() for word in settings.cors_origins.split(",") if word.strip()]:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED)
    app.add_middleware(Edge, access=access, local=named and is_loopback(settings.host))
    docs_page.install(app)
    openapi.install(app)
    errors.install(app)
    cache = cache_of(settings) if settings.run_cache_bytes else None
    logs = HistoryStore(log_dir, limits=limits_of(settings), cache=cache) if log_dir is not None else None
    store = AllRuns(service, logs)
    keyed: dict[str, Any] = {"dependencies": [Depends(caller)], "responses": errors.problems(400, 401, 403, 421, 429, 503)}
    for noun in (analyze, event_logs, uploads, runs, reports, replays, feedback, graphql):
        app.include_router(noun.router(service), **keyed)
    for pure in (partition, gate):
        app.include_router(pure.router(), **keyed)
    app.include_router(audit.router(access), **keyed)
    known = runs_of(store, settings.pricing)
    app.include_router(knowledge.router(place_of(settings), known(None)), **keyed)
    app.include_router(chat.router(chat_later(settings, known(None)), tenant, known), **keyed)
    app.include_router(monitoring_router(store), prefix="/api/v1", **keyed)
    app.include_router(health.router(service, release))
    app.add_middleware(Watched)
    return app
