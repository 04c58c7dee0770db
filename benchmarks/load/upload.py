"""A large body, beside a copy of the same bytes through the same kind of socket."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.servers import Environment, memory_mb, serving
from benchmarks.load.size import Size

PIECE = 1 << 20
COPY = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
buffer = memoryview(bytearray(1 << 20))
while True:
    peer, _ = listener.accept()
    with peer, open(sys.argv[1], "wb", buffering=0) as out:
        left = int.from_bytes(peer.recv(8, socket.MSG_WAITALL), "big")
        while left:
            got = peer.recv_into(buffer)
            out.write(buffer[:got])
            left -= got
        os.fsync(out.fileno())
        peer.sendall(b"!")
"""


def upload(home: Path, environment: Environment, size: Size) -> dict[str, Any]:
    """Seconds of an upload and of a copy, by turns; and the API's memory."""
    ours, copied, status = [], [], set()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=home.parent)))
        port, pid = stack.enter_context(serving(home, environment))
        copier = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", COPY, str(folder / "copy")], stdout=subprocess.PIPE, text=True)
        )  # fmt: skip
        stack.callback(copier.kill)
        assert copier.stdout is not None
        copy_port = int(copier.stdout.readline())
        body = folder / "body"
        piece = os.urandom(PIECE)
        with body.open("wb") as out:
            for _ in range(size.upload_bytes // PIECE):
                out.write(piece)
        before = memory_mb(pid, "VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        for number in range(size.upload_rounds):
            with body.open("r+b") as out:
                out.write(b"%08d" % number)  # other bytes each time, else the run is there already
            with body.open("rb") as source:
                seconds, answer = sent(port, source, size.upload_bytes)
                ours.append(seconds)
                status.add(answer)
            with body.open("rb") as source:
                copied.append(copy(copy_port, source, size.upload_bytes))
        peak = memory_mb(pid, "VmHWM")
    assert status == {202}, status
    seconds, base = statistics.median(ours), statistics.median(copied)
    return {
        "bytes": size.upload_bytes, "seconds": round(seconds, 2), "cp_seconds": round(base, 2),
        "mb_per_s": round(size.upload_bytes / seconds / 1e6), "cp_mb_per_s": round(size.upload_bytes / base / 1e6),
        "share_of_cp": round(base / seconds, 2), "api_mb_before": round(before), "api_peak_mb": round(peak),
    }  # fmt: skip


def sent(port: int, source: Any, length: int) -> tuple[float, int]:
    """Seconds from the first byte to the answer, and its status."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        begun = time.perf_counter()
        peer.sendall(b"POST /api/v1/event-logs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
        peer.sendfile(source)
        answer = peer.recv(65_536)
        return time.perf_counter() - begun, int(answer.split()[1])


def copy(port: int, source: Any, length: int) -> float:
    """Seconds of the copy, synced like the upload."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        begun = time.perf_counter()
        peer.sendall(length.to_bytes(8, "big"))
        peer.sendfile(source)
        assert peer.recv(1) == b"!"
        return time.perf_counter() - begun
