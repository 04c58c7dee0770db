"""`python -m tests.fuzz.guided [SECONDS] [atheris options]`: coverage-guided fuzzing of the reader. Needs the package `atheris`.

Bytes are read as a log, in both details; any error but the declared ones is a crash, which atheris writes beside the working directory.
"""

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["spark_copilot.connectors.eventlog"]):
    from spark_copilot.connectors.eventlog import ReadLimits, headlines, raw_lines, read_runs
    from spark_copilot.rules_engine.errors import CopilotError

FILE = Path(tempfile.mkdtemp(prefix="spark-copilot-fuzz-")) / "log"
LIMITS = ReadLimits(max_bytes=8 << 20, max_line_bytes=1 << 20, ratio_from_bytes=1 << 20)
SAMPLE = Path(__file__).resolve().parent.parent / "data" / "eventlogs"


def one_input(data: bytes) -> None:
    """Read the bytes as a log."""
    FILE.write_bytes(data)
    try:
        for detail in (False, True):
            for run in read_runs(FILE, limits=LIMITS, detail=detail):
                if run.wall_ms < 0 or (run.tasks.duration_ms < 0).any():
                    raise AssertionError("a negative duration")
    except CopilotError:
        pass
    list(headlines(FILE, limits=LIMITS))


def seeds(folder: Path) -> None:
    """Whole small logs in every packing, and one line of each event."""
    for name in ("codec-sample.lz4", "codec-sample.lzf", "codec-sample.snappy", "codec-sample.zstd"):
        (folder / name).write_bytes((SAMPLE / name).read_bytes())
    seen: dict[bytes, list[bytes]] = {}
    for line in raw_lines(SAMPLE / "codec-sample"):
        seen.setdefault(line[:90].partition(b'",')[0], []).append(line)
    for number, lines in enumerate(seen.values()):
        (folder / f"event-{number}").write_bytes(lines[0] + b"\n")
    (folder / "one-of-each").write_bytes(b"\n".join(lines[0] for lines in seen.values()) + b"\n")


def main() -> None:
    """Fuzz for so many seconds."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "600"
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        options = [f"-max_total_time={seconds}", "-max_len=65536", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *options, *sys.argv[2:], corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
