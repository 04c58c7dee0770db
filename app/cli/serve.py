"""`serve`: the API on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.app.addresses import is_loopback
from spark_copilot.app.config import load
from spark_copilot.rules_engine.errors import NotFound, UsageError

GRACE_SECONDS = 10
"""Requests under way get this long when the server is stopped; analyses go back to the queue at once."""


def command(
    host: Annotated[str | None, typer.Option(help="Address to bind; must be loopback while there are no API keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to bind.")] = None,
    log_dir: Annotated[Path | None, typer.Option(help="Serve Spark's monitoring API over the event logs of this directory too.")] = None,
) -> None:
    """Ctrl-C ends it. The API's pages are at /docs."""
    import uvicorn

    from spark_copilot.app.main import create_app
    from spark_copilot.app.patience import patient_for
    from spark_copilot.app.watch import logs, traces

    settings = load()
    logs.configure(settings)
    if log_dir is not None and not log_dir.is_dir():
        raise NotFound(f"{log_dir}: no such directory")
    address = host or settings.host
    app = create_app(settings.model_copy(update={"host": address}), log_dir, warm=True, named=True)
    # A database that cannot be opened is told here, in one sentence.
    if not app.state.access.keys.any() and not is_loopback(address):
        raise UsageError(
            f"{address} is not a loopback address, and there are no API keys",
            hint="make one with `spark-copilot keys create --name …`, or bind 127.0.0.1",
        )
    with traces.exported("spark-copilot-serve"):
        uvicorn.run(
            app,
            host=address,
            port=port or settings.port,
            log_config=None,
            http=patient_for(settings.upload_idle_seconds),
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
