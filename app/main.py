"""The FastAPI application, put together from its nouns."""

from importlib.metadata import version
from pathlib import Path
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from spark_copilot.app.api import analyze, chat, errors, gate, knowledge
from spark_copilot.app.api.monitoring import HistoryStore, monitoring_router
from spark_copilot.app.api.runs import NoRuns, StoreRuns
from spark_copilot.app.config import Settings, load
from spark_copilot.app.wiring import chat_later, place_of


class Health(BaseModel):
    """The server is up."""

    status: Literal["ok"] = "ok"
    version: str


def create_app(settings: Settings | None = None, log_dir: Path | None = None) -> FastAPI:
    """The application for these settings; those of the environment when none are given. With `log_dir` it is also a history server over that directory."""
    settings = settings or load()
    release = version("spark-intelligence-copilot")
    app = FastAPI(
        title="Spark Intelligence Copilot",
        version=release,
        summary="Hand it a Spark event log: it says what is wrong, what each fix is worth, and what to change.",
    )
    errors.install(app)
    store = HistoryStore(log_dir) if log_dir is not None else None
    app.include_router(analyze.router(settings))
    app.include_router(gate.router())
    runs = StoreRuns(store) if store is not None else NoRuns()
    app.include_router(knowledge.router(place_of(settings), runs))
    app.include_router(chat.router(chat_later(settings, runs)))
    if store is not None:
        app.include_router(monitoring_router(store), prefix="/api/v1")

    @app.get("/health", tags=["health"])
    def health() -> Health:
        """Whether the server answers."""
        return Health(version=release)

    return app
