"""What every request passes: its id, the host and origin it names, the headers of every answer, and the line in the audit log."""

import logging
import re
from typing import Any
from urllib.parse import urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spark_copilot.app.access import Access
from spark_copilot.app.addresses import is_loopback
from spark_copilot.app.api.caller import READS
from spark_copilot.app.api.errors import PROBLEM_CODE, REQUEST_ID, problem
from spark_copilot.app.watch.middleware import request_id as request_id_of
from spark_copilot.rules_engine.errors import CopilotError
from spark_copilot.storage.api_key import without_keys

log = logging.getLogger(__name__)

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@]+)(?::[0-9]+)?")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_REFUSED = frozenset({401, 403, 429})
_MOST_PATH = 500


class Edge:
    """Stands around the application. `local`: only this machine reaches it, so only this machine's names for it are answered."""

    def __init__(self, app: ASGIApp, access: Access, *, local: bool) -> None:
        self.app, self.access, self.local = app, access, local
        self.hosts = _words(access.settings.allowed_hosts)
        self.origins = _words(access.settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = request_id_of(scope)  # the same that the log lines bear
        state: dict[str, Any] = scope["state"]
        REQUEST_ID.set(request_id)
        answered: list[str] = []
        PROBLEM_CODE.set(answered)
        status = 0
        finished_upload = False

        async def answer(message: Message) -> None:
            nonlocal status, finished_upload
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    own.setdefault(name, value)
                own["X-Request-ID"] = request_id
                finished_upload = "content-location" in own
            await send(message)

        refused = self._refused(scope["method"], headers)
        try:
            await (refused or self.app)(scope, receive, answer)
        except Exception as error:
            if status:
                raise
            log.error("unexpected failure on %s %s", scope["method"], without_keys(scope["path"]), exc_info=error)
            await problem(500, "internal error", "this is a bug; the server's log has the details", "internal-error")(
                scope, receive, answer
            )
        chunk = scope["method"] == "PATCH" and status == 204 and not finished_upload
        if status in _REFUSED or (scope["method"] not in READS and state.get("caller") is not None and not chunk):
            await run_in_threadpool(self._write, scope, status, answered[-1] if answered else None, request_id)

    def _refused(self, method: str, headers: Headers) -> ASGIApp | None:
        """The answer to a request that a web page of somebody else made the browser send."""
        host = _HOST.fullmatch(headers.get("host", ""))
        name = host[1].strip("[]").lower() if host else ""
        if self.local and not is_loopback(name) and name not in self.hosts:
            return problem(
                421, "host not allowed", "this server does not answer by that name", "host-not-allowed",
                "SPARK_COPILOT_ALLOWED_HOSTS names others: that of a proxy before it, say",
            )  # fmt: skip
        origin = headers.get("origin")
        if origin is None or method in READS or origin in self.origins or urlsplit(origin).netloc == headers.get("host"):
            return None
        return problem(403, "origin not allowed", "a page of another origin may not do this", "origin-not-allowed",
                       "SPARK_COPILOT_CORS_ORIGINS names those that may")  # fmt: skip

    def _write(self, scope: Scope, status: int, code: str | None, request_id: str) -> None:
        """The audit line. While there are no keys there is nobody to tell apart, and none is written."""
        who, route = scope["state"].get("caller"), scope.get("route")
        shown = getattr(route, "path_format", None) or getattr(route, "path", None) or scope["path"]
        try:
            if code == "too-many-wrong-keys" or not self.access.needed():  # who keeps guessing must not fill the disk
                return
            self.access.audit.add(
                tenant=who.tenant if who is not None else "",
                key_id=who.key_id if who is not None else None,
                action=without_keys(f"{scope['method']} {shown}")[:_MOST_PATH],
                path=without_keys(scope["path"])[:_MOST_PATH],
                status=status,
                code=code,
                address=scope["client"][0] if scope.get("client") else None,
                request_id=request_id,
            )
            self.access.sweep()
        except CopilotError as error:
            log.error("the audit log cannot be written: %s", error)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())
