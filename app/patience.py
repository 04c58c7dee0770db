"""Connections that send nothing whole: closed, so that many of them cannot hold the server's file handles."""

import asyncio
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol


def patient_for(seconds: float) -> type[asyncio.Protocol]:
    """A protocol for uvicorn that waits so long for the head of a request; uvicorn's own would wait for ever. Bodies have their own patience."""

    class Patient(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._look(None)

        def on_body(self, body: bytes) -> None:
            # uvicorn gathers a body in a buffer and copies it out again. Added to nothing, and taken as bytes, bytes are not copied.
            if not self.cycle.body:
                self.cycle.body = b""
            super().on_body(body)

        def connection_lost(self, exc: Exception | None) -> None:
            self._next_look.cancel()
            super().connection_lost(exc)

        def _look(self, before: object) -> None:
            self._next_look = asyncio.get_running_loop().call_later(seconds, self._looked, before)

        def _looked(self, before: object) -> None:
            under_way = self.cycle is not None and not self.cycle.response_complete
            if under_way or self.cycle is not before:
                self._look(self.cycle)
            elif not self.transport.is_closing():
                self.transport.close()

    return Patient
