"""`python -m tests.fuzz [--count 1000] [--seed 0] [--only NAME] [--keep DIR]`: mutations of real logs through everything that reads one.

Prints each input that was not answered as it must be, then the counts; exit 1 when there was one.
"""

import argparse
import random
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path

from spark_copilot.connectors.eventlog import raw_lines
from tests.fuzz.judge import judge
from tests.fuzz.mutations import MUTATIONS, name_of

DATA = Path(__file__).resolve().parent.parent / "data"
MAX_ADDRESS_SPACE = 6 << 30
SLOW_SECONDS = 5.0


def originals() -> list[Path]:
    """Real logs of few kilobytes to a few megabytes."""
    return [DATA / "eventlogs" / "codec-sample", *sorted((DATA / "laboratory").glob("*.zstd"))]


def main() -> int:
    """Make, judge, count."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="First mutation, to run one again.")
    parser.add_argument("--only", help="Mutations whose name holds this.")
    parser.add_argument("--keep", type=Path, help="Put inputs that fail here.")
    parser.add_argument("logs", nargs="*", type=Path, help="Logs to mutate instead of the project's own.")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    sources = asked.logs or originals()
    lines = {path: [line for line in raw_lines(path) if line] for path in sources}
    codes: Counter[int] = Counter()
    failed, slowest, grown = 0, 0.0, 0.0
    for number in range(asked.start, asked.start + asked.count):
        rng = random.Random(f"{asked.seed}-{number}")
        mutation = MUTATIONS[number % len(MUTATIONS)]
        source = rng.choice(sources)
        if asked.only and asked.only not in name_of(mutation):
            continue
        with tempfile.TemporaryDirectory() as folder:
            mutation(lines[source], rng, Path(folder, "log"))
            path = next(Path(folder).iterdir())
            verdict = judge(path)
            if verdict.faults:
                failed += 1
                print(f"{number} {name_of(mutation)} of {source.name}: {len(verdict.faults)} faults")
                for fault in verdict.faults[:4]:
                    print("   ", fault.replace("\n", " ")[:400], flush=True)
                if asked.keep and path.is_file():
                    asked.keep.mkdir(exist_ok=True)
                    (asked.keep / f"{number}-{path.name}").write_bytes(path.read_bytes())
            elif verdict.seconds > SLOW_SECONDS:
                print(f"{number} {name_of(mutation)} of {source.name}: {verdict.seconds:.1f} s", flush=True)
        codes[verdict.code] += 1
        slowest, grown = max(slowest, verdict.seconds), max(grown, verdict.grown_mb)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{sum(codes.values()):,} mutations: {codes[0]:,} analysed, {codes[3]:,} refused, {failed:,} answered wrongly; "
        f"slowest {slowest:.1f} s, peak memory {peak:,.0f} MB"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
