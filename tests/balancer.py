"""A balancer before several servers, as a rolling restart needs one."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.servers import free_port


@dataclass
class Balancer:
    """Hands each connection to a server that is in service; a server that refuses is passed over."""

    servers: list[int]
    out: set[int] = field(default_factory=set)
    """Servers that get no new connection."""
    open: dict[int, int] = field(default_factory=dict)
    """Connections that each server has."""
    port: int = field(default_factory=free_port)
    _turn: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """In a thread of its own while the block runs."""
        ready, loop, over = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

        def work() -> None:
            with contextlib.closing(loop):
                loop.run_until_complete(self._run(ready, over))

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()

    async def _run(self, ready: threading.Event, over: asyncio.Event) -> None:
        taken: set[asyncio.Task[None]] = set()

        def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._connected(reader, writer))
            taken.add(task)
            task.add_done_callback(taken.discard)

        server = await asyncio.start_server(take, "127.0.0.1", self.port)
        ready.set()
        await over.wait()
        server.close()
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        order = self.servers[self._turn % len(self.servers) :] + self.servers[: self._turn % len(self.servers)]
        try:
            for port in [port for port in order if port not in self.out]:
                with contextlib.suppress(OSError):
                    there, back = await asyncio.open_connection("127.0.0.1", port)
                    break
            else:
                return
            self.open[port] = self.open.get(port, 0) + 1
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                self.open[port] -= 1
                await _closed(back)
        finally:
            await _closed(writer)


async def _pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(65_536):
            to.write(piece)
            await to.drain()
        to.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
