"""Where the spans of a service process go."""

import contextlib
import os
from collections.abc import Iterator

from spark_copilot.connectors import tracing
from spark_copilot.rules_engine.errors import UsageError

VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@contextlib.contextmanager
def exported(service: str) -> Iterator[None]:
    """Export spans by OTLP while the block runs, when OpenTelemetry's own variables say where to.

    Raises:
        UsageError: they do, and OpenTelemetry is not installed.
    """
    if not any(os.environ.get(name) for name in VARIABLES):
        yield
        return
    try:
        end = tracing.configure(os.environ.get("OTEL_SERVICE_NAME") or service)
    except ImportError as error:
        raise UsageError(
            "traces are asked for, and OpenTelemetry is not installed", hint='pip install "spark-intelligence-copilot[otel]"'
        ) from error
    try:
        yield
    finally:
        end()
