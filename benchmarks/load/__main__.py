"""The service under load, on SQLite and on PostgreSQL, each figure beside its baseline in the same run (about ten minutes).

    python -m benchmarks.load [--small] [--engine sqlite|postgresql] [--only upload|reads|killed|rolling]

upload   a large body streamed in, beside `cp` of the same bytes through the same kind of loopback socket to the same disk; the API's memory meanwhile
reads    50 clients that each ask once a second while two logs are being analysed, beside the same with nothing being analysed
killed   200 logs of 1 MB by 20 clients, kill -9 of the worker every 10 s, beside the same without kills: all analysed, none twice, none lost
rolling  two servers behind a balancer, restarted one after the other under requests, beside one server restarted
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.load.killed import killed
from benchmarks.load.reads import reads
from benchmarks.load.rolling import rolling
from benchmarks.load.servers import ROOT
from benchmarks.load.size import SMALL, Size
from benchmarks.load.told import told
from benchmarks.load.upload import upload
from tests import postgres

MEASURES = {"upload": upload, "reads": reads, "killed": killed, "rolling": rolling}
RESULTS = ROOT / "benchmarks" / "results" / "load.json"


def measured(engine: str, size: Size, only: list[str]) -> dict[str, Any] | None:
    """Every measurement on one engine; None where it is not installed."""
    if engine == "postgresql" and postgres.binaries() is None:
        print("PostgreSQL is not installed (Debian: postgresql): left out")
        return None
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="spark-copilot-load-")))
        server = stack.enter_context(postgres.server(postgres.binaries(), fsync=True)) if engine == "postgresql" else None  # type: ignore[arg-type]
        for name in only:
            environment = {"DATABASE_URL": postgres.new_database(server)} if server is not None else {}
            begun = time.monotonic()
            found[name] = MEASURES[name](folder / name, environment, size)
            told(engine, name, found[name], time.monotonic() - begun)
    return found


def main() -> None:
    """Measure, print, and keep the figures of a full run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a try of two minutes; its figures are not kept")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--only", choices=list(MEASURES), action="append")
    given = parser.parse_args()
    figures = {
        engine: measured(engine, SMALL if given.small else Size(), given.only or list(MEASURES))
        for engine in given.engine or ["sqlite", "postgresql"]
    }
    if not given.small:
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        for engine, found in figures.items():
            if found is not None:
                kept[engine] = kept.get(engine, {}) | found
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
