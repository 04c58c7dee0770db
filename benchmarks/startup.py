"""CPU seconds of `--help` and of `analyze` on a log of about 1 MB, beside a bare interpreter in the same run.

usage: python benchmarks/startup.py [LOG]     (default: the largest bundled sample; real logs of 1 MB lie with the shared data)
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = 5


def cpu_and_wall(command: list[str]) -> tuple[float, float]:
    """CPU and wall seconds of one child."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def main() -> None:
    """Alternate the three commands and print medians."""
    script = str(Path(sys.executable).parent / "spark-copilot")
    log = sys.argv[1] if len(sys.argv) > 1 else str(max((ROOT / "app" / "samples").glob("*.zstd"), key=lambda p: p.stat().st_size))
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "spark-copilot --help": [script, "--help"],
        "spark-copilot analyze LOG": [script, "analyze", log, "--format", "json"],
    }
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for command in commands.values():
        cpu_and_wall(command)  # not counted: fills the disk cache
    for _ in range(RUNS):
        for name, command in commands.items():
            seen[name].append(cpu_and_wall(command))
    result = {}
    for name, runs in seen.items():
        cpu, wall = (statistics.median(r[i] for r in runs) for i in (0, 1))
        result[name] = {"cpu_s": round(cpu, 3), "wall_s": round(wall, 3)}
        print(f"{name:28} cpu {cpu:.3f} s   wall {wall:.3f} s")
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "startup.json").write_text(
        json.dumps({"log_bytes": Path(log).stat().st_size, **result}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
