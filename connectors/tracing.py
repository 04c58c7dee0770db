"""Spans for OpenTelemetry, where a process uses it: without it, or before anybody set it up, every span here is free and does nothing.

A process that wants spans calls `configure` (the service does, when OTEL_EXPORTER_OTLP_ENDPOINT is set) or sets up OpenTelemetry itself. Names
and numbers go into a span; SQL, settings and messages of errors do not, since they may hold secrets.

The decorators need the standard library only, so that a Spark job can use this file by itself.
"""

import contextlib
import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from importlib import import_module
from typing import Any, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")
Value = str | int | float | bool

TRACER = "spark_copilot"
_MAX_TEXT = 200


class Span:
    """What code may say of the work it is in. This one says it to nobody."""

    def name(self, name: str) -> None:
        """Another name, once more is known."""

    def set(self, **attributes: Value) -> None:
        """More about it."""

    def fail(self, kind: str) -> None:
        """It went wrong; the kind of error, not its message."""

    @property
    def traceparent(self) -> str | None:
        """The span as another process must be told of it (W3C trace context)."""
        return None


class _Exported(Span):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def name(self, name: str) -> None:
        self._inner.update_name(name)

    def set(self, **attributes: Value) -> None:
        self._inner.set_attributes(_short(attributes))

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self._inner.set_attribute("error.type", kind)
        self._inner.set_status(StatusCode.ERROR)

    @property
    def traceparent(self) -> str | None:
        context = self._inner.get_span_context()
        if not context.is_valid:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


class _Reported(Span):
    def __init__(self, name: str, attributes: Mapping[str, Value]) -> None:
        self.said: dict[str, Any] = {"name": name, "attributes": _short(attributes), "error": None}

    def name(self, name: str) -> None:
        self.said["name"] = name

    def set(self, **attributes: Value) -> None:
        self.said["attributes"].update(_short(attributes))

    def fail(self, kind: str) -> None:
        self.said["error"] = kind


_REPORT: ContextVar[Callable[[dict[str, Any]], None] | None] = ContextVar("report", default=None)


@contextlib.contextmanager
def reporting(to: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Tell of spans as plain records (name, start, end, attributes, error) instead of exporting them: for a process whose parent exports."""
    token = _REPORT.set(to)
    try:
        yield
    finally:
        _REPORT.reset(token)


@contextlib.contextmanager
def span(name: str, *, kind: str = "internal", parent: str | None = None, **attributes: Value) -> Iterator[Span]:
    """A span around a block. `parent`: the `traceparent` of another process; kind: internal, server, producer or consumer."""
    report = _REPORT.get()
    if report is not None:
        reported, began = _Reported(name, attributes), time.time_ns()
        try:
            yield reported
        except BaseException as error:
            reported.fail(type(error).__name__)
            raise
        finally:
            report({**reported.said, "start": began, "end": time.time_ns()})
        return
    if (trace := _otel()) is None:
        yield Span()
        return
    tracer = trace.get_tracer(TRACER)
    with tracer.start_as_current_span(
        name, context=_context(parent), kind=trace.SpanKind[kind.upper()], attributes=_short(attributes),
        record_exception=False, set_status_on_exception=False,
    ) as inner:  # fmt: skip
        exported = _Exported(inner)
        try:
            yield exported
        except BaseException as error:
            exported.fail(type(error).__name__)
            raise


def replay(record: Mapping[str, Any], parent: str | None) -> None:
    """Export what another process told of through `reporting`, below this parent."""
    if (trace := _otel()) is None:
        return
    inner = trace.get_tracer(TRACER).start_span(
        str(record["name"]), context=_context(parent), attributes=_short(record["attributes"]), start_time=int(record["start"])
    )
    if record["error"]:
        _Exported(inner).fail(str(record["error"]))
    inner.end(int(record["end"]))


def current() -> str | None:
    """The `traceparent` of the span that this code is in; None outside of any."""
    trace = _otel()
    return None if trace is None else _Exported(trace.get_current_span()).traceparent


def configure(service: str, exporter: Any = None) -> Callable[[], None]:
    """Export spans: to this exporter, else by OTLP to where the OTEL_… variables say. Returns what sends the rest and ends it.

    Raises:
        ImportError: OpenTelemetry is not installed.
    """
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if exporter is None:
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        provider.add_span_processor(BatchSpanProcessor(otlp.OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


@overload
def trace_spark_operation(named: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def trace_spark_operation(named: str | None = None, /, **attributes: Value) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def trace_spark_operation(named: Any = None, /, **attributes: Value) -> Any:
    """A span around a step of a job: `@trace_spark_operation` or `@trace_spark_operation("read orders", rows=10)`."""
    return _decorated("spark.operation", named, attributes)


@overload
def trace_spark_job_execution(named: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def trace_spark_job_execution(named: str | None = None, /, **attributes: Value) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def trace_spark_job_execution(named: Any = None, /, **attributes: Value) -> Any:
    """A span around a whole job, with how it ended and, where an argument is a Spark session, the application's id: the one of its event log."""
    return _decorated("spark.job", named, attributes)


def _decorated(kind: str, named: Any, attributes: Mapping[str, Value]) -> Any:
    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = named if isinstance(named, str) else function.__name__

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            with span(f"{kind} {name}") as inner:
                inner.set(**attributes)
                if kind == "spark.job" and (application := _application((*args, *kwargs.values()))):
                    inner.set(**{"spark.application.id": application})
                result = function(*args, **kwargs)
                if kind == "spark.job":
                    inner.set(**{"spark.job.outcome": "succeeded"})
                return result

        return traced

    return decorate(named) if callable(named) else decorate


def _application(arguments: tuple[Any, ...]) -> str | None:
    for one in arguments:
        found = getattr(getattr(one, "sparkContext", None), "applicationId", None)
        if isinstance(found, str):
            return found
    return None


def _otel() -> Any:
    """OpenTelemetry's API, when somebody in this process uses it."""
    return sys.modules.get("opentelemetry.trace")


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


def _short(attributes: Mapping[str, Value]) -> dict[str, Value]:
    return {key: value[:_MAX_TEXT] if isinstance(value, str) else value for key, value in attributes.items()}
