"""Logs of the service: one JSON object a line on standard error, or lines for people on a terminal. Secrets are masked last, whoever logged them."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor

from spark_copilot.app.api.caller import TENANT
from spark_copilot.app.config import Settings
from spark_copilot.rules_engine.redact import Redactor, map_texts

ACCESS = "uvicorn.access"


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process, by whichever library, to the stream (standard error)."""
    stream = stream or sys.stderr
    people = settings.log_format == "console" or (settings.log_format == "auto" and stream.isatty())
    known: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.contextvars.merge_contextvars,
        _tenant,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    last: Processor = structlog.dev.ConsoleRenderer(colors=stream.isatty()) if people else structlog.processors.JSONRenderer(default=str)
    shaped = structlog.stdlib.ProcessorFormatter(
        pass_foreign_args=True,
        foreign_pre_chain=[_access, structlog.stdlib.ExtraAdder(), *known],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.UnicodeDecoder(),
            redacted,
            last,
        ],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(shaped)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", ACCESS):
        logging.getLogger(name).handlers, logging.getLogger(name).propagate = [], True
    for chatty in ("httpx", "httpcore", "alembic", "python_multipart", "opentelemetry"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *known, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redacted(logger: Any, method: str, event: EventDict) -> EventDict:
    """The event with every secret masked, in keys, values and tracebacks."""
    del logger, method
    redactor = Redactor()

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {redactor.text(str(k)): redactor.setting(str(k), v) if isinstance(v, str) else clean(v) for k, v in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [clean(item) for item in value]
        return redactor.text(value) if isinstance(value, str) else value if _plain(value) else redactor.text(str(value))

    done: EventDict = map_texts(clean(event), redactor.learned_mask())
    return done


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _tenant(logger: Any, method: str, event: EventDict) -> EventDict:
    """Whose request it is; a worker binds the tenant of its job instead."""
    del logger, method
    if "request_id" in event:
        event.setdefault("tenant", TENANT.get())
    return event


def _access(logger: Any, method: str, event: EventDict) -> EventDict:
    """Uvicorn's access line in fields, without the query, where people put keys."""
    del logger, method
    event.pop("color_message", None)  # the same again, for a terminal
    args = event.pop("positional_args", None)
    if event["_record"].name == ACCESS and isinstance(args, tuple) and len(args) == 5:
        client, verb, path, _, status = args
        event.update(event="request", client=client, method=verb, path=str(path).partition("?")[0], status=status)
    return event
