"""CPU time of reading a large event log, beside a bare `for line in open(path, "rb")` over the same file in the same process.

    python benchmarks/parse.py LOG [--size-mb 600] [--rounds 3]

LOG (any packing) is repeated with shifted task, stage, job and execution ids until the file has the size. The rounds alternate; medians are printed
and written to benchmarks/results/parse.json.
"""

import argparse
import json
import re
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from spark_copilot.connectors.eventlog import ReadLimits, read_run
from spark_copilot.connectors.eventlog.decompress import Snapshot, blocks, zstd
from spark_copilot.orchestration.analyse import analyse_run

RESULTS = Path(__file__).resolve().parent / "results" / "parse.json"
ONCE = tuple(
    b'{"Event":"SparkListener' + word
    for word in (b"Application", b"LogStart", b"Environment", b"Executor", b"BlockManager", b"ResourceProfile")
)
IDS = {
    b"Task ID": rb'"Task ID":(\d+)',
    b"Stage ID": rb'"Stage ID":(\d+)',
    b"Job ID": rb'"Job ID":(\d+)',
    b"executionId": rb'"executionId":(\d+)',
}


def repeated(lines: list[bytes], size: int) -> Iterator[bytes]:
    """The run again and again, as one application that goes on."""
    heads = [line for line in lines if line.startswith(ONCE) and b"ApplicationEnd" not in line[:40]]
    ends = [line for line in lines if line.startswith(b'{"Event":"SparkListenerApplicationEnd')]
    body = [line for line in lines if not line.startswith(ONCE)]
    text = b"\n".join(body)
    step = {name: max((int(found) for found in re.findall(pattern, text)), default=0) + 1 for name, pattern in IDS.items()}
    yield from heads
    written = sum(map(len, heads))
    turn = 0
    while written < size:
        for line in body:
            for name, pattern in IDS.items():
                line = re.sub(pattern, lambda m, by=turn * step[name], name=name: b'"%s":%d' % (name, int(m[1]) + by), line)  # type: ignore[misc]
            written += len(line) + 1
            yield line
        turn += 1
    yield from ends


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def bare(path: Path) -> None:
    """The baseline."""
    with path.open("rb") as handle:
        for _ in handle:
            pass


def main() -> None:
    """Make the file, time it, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("--size-mb", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    lines = b"".join(blocks(asked.log.name, Snapshot(asked.log), ReadLimits())).splitlines()
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "log", Path(folder) / "log.zstd"
        with plain.open("wb") as out, zstd.open(packed, "wb") as out_packed:
            for line in repeated(lines, asked.size_mb * 1_000_000):
                out.write(line + b"\n")
                out_packed.write(line + b"\n")
        size = plain.stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        tasks = len(read_run(plain).tasks)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rounds = [
            (
                timed(lambda: bare(plain)),
                timed(lambda: read_run(plain)),
                timed(lambda: read_run(packed)),
                timed(lambda: analyse_run(read_run(plain))),
            )
            for _ in range(asked.rounds)
        ]
    base, ours, zipped, whole = (statistics.median(r[i][0] for r in rounds) for i in range(4))
    wall = [statistics.median(r[i][1] for r in rounds) for i in range(4)]
    figures = {
        "bytes": size, "tasks": tasks, "rounds": asked.rounds,
        "bare_cpu_s": round(base, 3), "read_cpu_s": round(ours, 3), "read_zstd_cpu_s": round(zipped, 3),
        "bare_wall_s": round(wall[0], 3), "read_wall_s": round(wall[1], 3), "read_zstd_wall_s": round(wall[2], 3),
        "analyze_cpu_s": round(whole, 3), "analyze_wall_s": round(wall[3], 3), "analyze_to_bare_ratio": round(whole / base, 2),
        "read_to_bare_ratio": round(ours / base, 2), "read_mb_per_cpu_s": round(size / ours / 1e6),
        "zstd_to_plain_speed_ratio": round(ours / zipped, 2), "peak_rss_mb": round(peak / 1024), "rss_before_mb": round(before / 1024),
    }  # fmt: skip
    print(f"{size / 1e6:,.0f} MB, {tasks:,} tasks, median of {asked.rounds} alternating rounds")
    print(f"bare loop over lines   {base:6.2f} s CPU {wall[0]:6.2f} s wall {size / base / 1e6:6,.0f} MB/s")
    print(
        f"AppRun from plain      {ours:6.2f} s CPU {wall[1]:6.2f} s wall {size / ours / 1e6:6,.0f} MB/s  {ours / base:.2f} times the bare loop"
    )
    print(
        f"AppRun from zstd       {zipped:6.2f} s CPU {wall[2]:6.2f} s wall {size / zipped / 1e6:6,.0f} MB/s  {ours / zipped:.0%} of the plain speed"
    )
    print(
        f"read and analysed      {whole:6.2f} s CPU {wall[3]:6.2f} s wall {size / whole / 1e6:6,.0f} MB/s  {whole / base:.2f} times the bare loop"
    )
    print(f"peak memory {peak / 1024:,.0f} MB ({before / 1024:,.0f} MB before reading)")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
