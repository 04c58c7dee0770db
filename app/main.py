"""The FastAPI application, put together from its nouns."""

from importlib.metadata import version
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from spark_copilot.app.api import analyze, errors
from spark_copilot.app.config import Settings, load


class Health(BaseModel):
    """The server is up."""

    status: Literal["ok"] = "ok"
    version: str


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application for these settings; those of the environment when none are given."""
    settings = settings or load()
    release = version("spark-intelligence-copilot")
    app = FastAPI(
        title="Spark Intelligence Copilot",
        version=release,
        summary="Hand it a Spark event log: it says what is wrong, what each fix is worth, and what to change.",
    )
    errors.install(app)
    app.include_router(analyze.router(settings))

    @app.get("/health", tags=["health"])
    def health() -> Health:
        """Whether the server answers."""
        return Health(version=release)

    return app
