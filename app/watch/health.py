"""`/health`: whether the process answers. `/health/ready`: whether it can do its work."""

import tempfile
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.storage import migrate


class Health(BaseModel):
    """The server is up."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(BaseModel):
    """Whether requests can be served; each check is `ok` or one sentence."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str] = Field(examples=[{"database": "ok", "worker": "ok", "disk": "ok"}])


UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": Readiness, "description": "it cannot do its work now; the checks say why"}}


def router(service: Service, release: str) -> APIRouter:
    """The health noun; without a key, since probes have none."""
    api = APIRouter(prefix="/health", tags=["health"])

    @api.get("")
    def health() -> Health:
        """Whether the server answers."""
        return Health(version=release)

    @api.get("/ready", responses=UNREADY)
    def ready(response: Response) -> Readiness:
        """Whether the database is there and migrated, the worker works, and the disk takes files."""
        checks = {"database": _database(service), "worker": _worker(service), "disk": _disk(service)}
        fine = all(said == "ok" for said in checks.values())
        response.status_code = 200 if fine else 503
        response.headers["Cache-Control"] = "no-store"
        return Readiness(status="ready" if fine else "not ready", checks=checks)

    return api


def _database(service: Service) -> str:
    try:
        found = migrate.current(service.database)
    except CopilotError:  # its sentence may name hosts: it is in the log, not here
        return "the database does not answer"
    return "ok" if found == migrate.head() else f"the database is at revision {found}, this program needs {migrate.head()}"


def _worker(service: Service) -> str:
    if not service.work or service.working:
        return "ok"
    return "the server is being stopped" if service.stopping.is_set() else "the worker does not run"


def _disk(service: Service) -> str:
    try:
        service.settings.home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=service.settings.home) as probe:
            probe.write(b"ready")
            probe.flush()
    except OSError as error:
        return f"the home folder cannot be written: {error.strerror}"
    return "ok"
