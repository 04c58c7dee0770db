"""The FastAPI application, put together from its nouns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool

from spark_copilot.app.api import analyze, chat, errors, event_logs, feedback, gate, knowledge, partition, replays, reports, runs, uploads
from spark_copilot.app.api.caller import CallerDep, caller
from spark_copilot.app.api.known_runs import runs_of
from spark_copilot.app.api.monitoring import AllRuns, HistoryStore, monitoring_router
from spark_copilot.app.config import Settings, load
from spark_copilot.app.service import Service
from spark_copilot.app.watch import health
from spark_copilot.app.watch.middleware import Watched
from spark_copilot.app.wiring import cache_of, chat_later, limits_of, place_of


def tenant(who: CallerDep) -> str:
    """Whose conversations these are."""
    return who.tenant


def create_app(settings: Settings | None = None, log_dir: Path | None = None, *, warm: bool = False) -> FastAPI:
    """The application for these settings; those of the environment when none are given. With `log_dir` it is also a history server over that directory.

    `warm`: have a process ready before the first log comes.
    """
    settings = settings or load()
    release = version("spark-intelligence-copilot")
    service = Service(settings, warm=warm)

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
        summary="Hand it a Spark event log: it says what is wrong, what each fix is worth, and what to change.",
    )
    app.state.service = service
    errors.install(app)
    cache = cache_of(settings) if settings.run_cache_bytes else None
    logs = HistoryStore(log_dir, limits=limits_of(settings), cache=cache) if log_dir is not None else None
    store = AllRuns(service, logs)
    for noun in (analyze, event_logs, uploads, runs, reports, replays, feedback):
        app.include_router(noun.router(service), dependencies=[Depends(caller)])
    for pure in (partition, gate):
        app.include_router(pure.router(), dependencies=[Depends(caller)])
    known = runs_of(store, settings.pricing)
    app.include_router(knowledge.router(place_of(settings), known(None)), dependencies=[Depends(caller)])
    app.include_router(chat.router(chat_later(settings, known(None)), tenant, known), dependencies=[Depends(caller)])
    app.include_router(monitoring_router(store), prefix="/api/v1", dependencies=[Depends(caller)])
    app.include_router(health.router(service, release))
    app.add_middleware(Watched)
    return app
