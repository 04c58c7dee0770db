"""Answers as they were written out, kept while they stay true: a dashboard asks the same again and again."""

import threading
from collections import OrderedDict

MAX_KEPT_BYTES = 64 << 20


class Answers:
    """Bodies by run and request; those asked for longest ago go when together they are too large. Safe for threads."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self._bodies: OrderedDict[tuple[int, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, run: int, request: str) -> bytes | None:
        """The body, if it is there."""
        with self._lock:
            body = self._bodies.get((run, request))
            if body is not None:
                self._bodies.move_to_end((run, request))
            return body

    def put(self, run: int, request: str, body: bytes) -> None:
        """Keep a body; one that would push out most of the others is not kept."""
        if len(body) + len(request) > self.max_bytes // 4:
            return
        with self._lock:
            known = self._bodies.pop((run, request), None)
            self.held_bytes += len(body) + len(request) - (0 if known is None else len(known) + len(request))
            self._bodies[run, request] = body
            while self.held_bytes > self.max_bytes:
                (_, asked), gone = self._bodies.popitem(last=False)
                self.held_bytes -= len(gone) + len(asked)
