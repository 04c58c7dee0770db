"""An OpenAI-compatible server over real HTTP, for tests and the demo, that answers from a script: text in chunks, tool calls, errors, silence, endless talk.

`with scripted([say("…"), call("run_summary", run_id="x"), …]) as server:` serves one step a request, the last one again and again; `server.url` is
the base URL for a client, `server.requests` what was asked.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = Callable[["Handler", dict[str, Any]], None]


def say(text: str, *, size: int = 7) -> Step:
    """The text, streamed in pieces of so many characters."""

    def step(handler: "Handler", request: dict[str, Any]) -> None:
        del request
        handler.begin()
        for at in range(0, len(text), size):
            handler.piece({"content": text[at : at + size]})
        handler.end("stop")

    return step


def call(name: str, **arguments: Any) -> Step:
    """A request to call one tool."""
    return calls((name, arguments))


def calls(*wanted: tuple[str, dict[str, Any]]) -> Step:
    """A request to call several tools at once."""

    def step(handler: "Handler", request: dict[str, Any]) -> None:
        del request
        handler.begin()
        for index, (name, arguments) in enumerate(wanted):
            function = {"name": name, "arguments": json.dumps(arguments)}
            handler.piece(
                {"tool_calls": [{"index": index, "id": f"call_{time.monotonic_ns()}_{index}", "type": "function", "function": function}]}
            )
        handler.end("tool_calls")

    return step


def fail(status: int) -> Step:
    """An HTTP error."""
    return lambda handler, request: handler.whole(status, json.dumps({"error": {"message": "no", "type": "error"}}))


def garbage() -> Step:
    """A body that is no JSON."""
    return lambda handler, request: handler.whole(200, "<html>not json")


def broken_stream() -> Step:
    """A stream whose second event is cut."""

    def step(handler: "Handler", request: dict[str, Any]) -> None:
        del request
        handler.begin()
        handler.piece({"content": "The run is\n"})
        handler.raw("data: {broken\n\n")

    return step


def silence(seconds: float) -> Step:
    """Nothing for so long."""

    def step(handler: "Handler", request: dict[str, Any]) -> None:
        del request
        handler.stopped.wait(seconds)

    return step


def endless(text: str = "and on\n") -> Step:
    """The same text until the client goes away."""

    def step(handler: "Handler", request: dict[str, Any]) -> None:
        del request
        handler.begin()
        while not handler.stopped.is_set():
            handler.piece({"content": text})

    return step


def empty() -> Step:
    """An answer without a word."""
    return say("")


class Handler(BaseHTTPRequestHandler):
    """Serves the steps."""

    protocol_version = "HTTP/1.1"
    steps: Sequence[Step]
    server_state: "Scripted"
    stopped: threading.Event

    def do_POST(self) -> None:
        """One chat completion."""
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with self.server_state.lock:
            number = len(self.server_state.requests)
            self.server_state.requests.append(request)
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):
            self.steps[min(number, len(self.steps) - 1)](self, request)

    def begin(self) -> None:
        """Head of a stream."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def piece(self, delta: dict[str, Any], finish: str | None = None) -> None:
        """One event of the stream."""
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "scripted", "choices": [choice]}
        self.raw(f"data: {json.dumps(chunk)}\n\n")

    def raw(self, text: str) -> None:
        """Bytes as they are."""
        self.wfile.write(text.encode())
        self.wfile.flush()

    def end(self, finish: str) -> None:
        """The stream's end."""
        self.piece({}, finish)
        self.raw("data: [DONE]\n\n")

    def whole(self, status: int, body: str) -> None:
        """A whole response."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.raw(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Quiet."""


@dataclass
class Scripted:
    """A running server."""

    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def scripted(steps: Sequence[Step]) -> Iterator[Scripted]:
    """The server on a free port of loopback, stopped at the end."""
    stopped = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Scripted", (Handler,), {"steps": steps, "stopped": stopped}))
    server.daemon_threads = True
    state = Scripted(f"http://127.0.0.1:{server.server_address[1]}/v1")
    server.RequestHandlerClass.server_state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
