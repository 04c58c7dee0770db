"""`worker`: analyses of uploaded logs, without an API."""

import logging
import signal
import threading
from typing import Annotated

import typer

from spark_copilot.app.config import load

log = logging.getLogger(__name__)


def command(
    concurrency: Annotated[int | None, typer.Option(min=1, help="Logs analysed at the same time; the setting counts without it.")] = None,
) -> None:
    """Takes jobs from the database of the settings until it is stopped; what is under way then goes back to the queue.

    Servers and workers share the database (PostgreSQL when they are on several machines) and the folder SPARK_COPILOT_HOME.
    """
    from spark_copilot.app.service import Service
    from spark_copilot.app.watch import logs, traces

    settings = load()
    logs.configure(settings)
    if concurrency is not None:
        settings = settings.model_copy(update={"analysis_concurrency": concurrency})
    service = Service(settings, warm=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with traces.exported("spark-copilot-worker"):
        service.start()
        log.info("working; Ctrl-C ends it")
        stop.wait()
        service.stop()
