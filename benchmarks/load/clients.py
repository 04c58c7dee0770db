"""The clients of `reads`, a process of their own: python -m benchmarks.load.clients PORT RUN COUNT SECONDS."""

import asyncio
import json
import sys
import time


async def clients(port: int, run_id: str, count: int, seconds: float) -> tuple[list[tuple[float, float]], int]:
    """Each asks for one thing a second, beginning at a moment of its own, over a connection that it keeps.

    Returns:
        When each request began (seconds, by the machine's clock) and how long it took, and how many failed.
    """
    paths = ["/api/v1/runs", *(f"/api/v1/runs/{run_id}{rest}" for rest in ("", "/report", "/findings")),
             f"/api/v1/metrics/{run_id}", f"/api/v1/recommendations/{run_id}"]  # fmt: skip
    times: list[tuple[float, float]] = []
    failed = 0
    until = time.monotonic() + seconds

    async def one(number: int) -> None:
        nonlocal failed
        await asyncio.sleep(number / count)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn = number
        while time.monotonic() < until:
            at, begun = time.time(), time.perf_counter()
            writer.write(f"GET {paths[turn % len(paths)]} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")  # not a library's client: fifty of those would be what is measured
            await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            times.append((at, time.perf_counter() - begun))
            failed += head.split()[1] != b"200"
            turn += 1
            await asyncio.sleep(max(0.0, 1.0 - times[-1][1]))
        writer.close()

    await asyncio.gather(*(one(number) for number in range(count)))
    return times, failed


if __name__ == "__main__":
    print(json.dumps(asyncio.run(clients(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))))
