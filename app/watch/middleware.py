"""Around every request: what its log lines carry, its metrics, its span. Plain ASGI, so that streams pass through untouched."""

import re
import secrets
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spark_copilot.app.watch import metrics
from spark_copilot.connectors import tracing

_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Watched:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id(scope))
        method = scope["method"] if scope["method"] in METHODS else "other"
        headers = dict(scope["headers"])
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with tracing.span(method, kind="server", parent=_text(headers.get(b"traceparent")), **{"http.request.method": method}) as span:
            try:
                await self.app(scope, receive, noting)
            finally:
                route = template(scope)
                span.name(f"{method} {route}")
                said: dict[str, str | int] = {"http.route": route, "http.response.status_code": status}
                span.set(**said)
                if status >= 500:
                    span.fail(str(status))
                metrics.REQUESTS.labels(route, method, f"{status // 100}xx").inc()
                metrics.REQUEST_SECONDS.labels(route, method).observe(time.perf_counter() - began)


def request_id(scope: Scope) -> str:
    """The request's id: one that was given to it before, the client's own where it is harmless, else a new one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    known = state.get("request_id")
    if not isinstance(known, str):
        asked = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        known = asked.decode() if _ID.fullmatch(asked) else secrets.token_hex(16)
        state["request_id"] = known
    return known


def template(scope: Scope) -> str:
    """The route as it is declared, never the path as it was asked for: a metric has as many series as there are routes."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "unmatched"


def _text(value: bytes | None) -> str | None:
    return value.decode("latin-1")[:200] if value is not None else None
