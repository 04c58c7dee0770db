"""Run laboratory scenarios: the parent starts one child process a run, so that each has a JVM and settings of its own."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from spark_copilot.workloads.laboratory.catalog import OLDER, SCENARIOS
from spark_copilot.workloads.laboratory.scenario import Scenario
from spark_copilot.workloads.laboratory.size_jobs import SIZES
from spark_copilot.workloads.laboratory.standalone import cluster

RUNNABLE = {**SCENARIOS, **SIZES}
"""The laboratory's runs, and those of the what-if benchmark, which run only when they are named or asked for with --sizes."""

SAMPLES = {"healthy-report": "healthy", "skewed-join": "skewed-join", "slow-driver": "slow-driver"}
"""Scenario -> name of the sample log that comes in the package."""


def start(settings: dict[str, str], name: str) -> object:
    """A session with these settings."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def child(scenario: Scenario, logs: Path, data: Path) -> None:
    """One session with an event log; `data` is where `prepare` left its files."""
    base = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }
    base |= {"spark.sql.warehouse.dir": str(data / "warehouse"), "spark.eventLog.enabled": "true", "spark.eventLog.dir": logs.as_uri()}
    base |= {"spark.eventLog.rolling.enabled": "false", "spark.eventLog.compress": "true", "spark.eventLog.compression.codec": "zstd"}
    with cluster(scenario.settings["spark.master"], data) as master:
        spark = start({**base, **scenario.settings, "spark.master": master}, scenario.name)
        try:
            scenario.job(spark, data)
        except Exception as error:
            if not scenario.fails:
                raise
            print(f"{scenario.name} ended as meant: {type(error).__name__}", file=sys.stderr)
        finally:
            spark.stop()  # type: ignore[attr-defined]


def prepare(scenario: Scenario, data: Path) -> None:
    """Data of one scenario, written by a session without an event log."""
    plain = {"spark.master": "local[2]", "spark.driver.memory": "1g", "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    # Delta tables are written by Delta; nothing else of the scenario's settings is wanted here.
    delta = {k: v for k, v in scenario.conf.items() if k.startswith(("spark.jars", "spark.sql.extensions", "spark.sql.catalog"))}
    spark = start({**plain, **delta}, "prepare")
    assert scenario.prepare is not None
    scenario.prepare(spark, data)
    spark.stop()  # type: ignore[attr-defined]


def spawn(mode: str, name: str, *folders: Path, memory: str) -> None:
    """A child of this module; Spark's executors find this interpreter and use loopback only."""
    env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    env["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {memory} pyspark-shell"
    command = [sys.executable, "-m", "spark_copilot.workloads.laboratory", mode, name, *map(str, folders)]
    subprocess.run(command, check=True, env=env, timeout=600, cwd=folders[-1])


def run(scenario: Scenario, out: Path) -> dict[str, object]:
    """One scenario from empty folders to its log `<name>.zstd` in `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        logs, data = Path(scratch, "logs"), Path(scratch, "data")
        logs.mkdir()
        data.mkdir()
        if scenario.prepare is not None:
            spawn("--prepare", scenario.name, data, memory="1g")
        began = time.monotonic()
        spawn("--child", scenario.name, logs, data, memory=scenario.settings["spark.driver.memory"])
        seconds = time.monotonic() - began
        found = sorted(p for p in logs.iterdir() if not p.name.startswith("."))
        shutil.copy(found[-1], out / f"{scenario.name}.zstd")
    return {
        "kind": scenario.kind,
        "expect": scenario.expect,
        "allow": scenario.allow,
        "mends": scenario.mends,
        "process_s": round(seconds, 1),
    }


def main() -> int:
    """Command line of the laboratory."""
    parser = argparse.ArgumentParser(prog="laboratory", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("lab-out"), help="where the logs and runs.json go")
    parser.add_argument("--samples", type=Path, help="make the package's sample logs in this folder instead")
    parser.add_argument(
        "--sizes", action="store_true", help="run the applications of the what-if benchmark instead, each on 1, 2, 4 and 8 executors"
    )
    parser.add_argument("--older", metavar="SUFFIX", help="run those that also run on an older Spark, and append this to their names")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument("--missing", action="store_true", help="only those whose log is not there yet")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="scenarios; default all")
    args = parser.parse_args()
    if args.child:
        child(RUNNABLE[args.child[0]], Path(args.child[1]), Path(args.child[2]))
        return 0
    if args.prepare:
        prepare(RUNNABLE[args.prepare[0]], Path(args.prepare[1]))
        return 0
    if args.list:
        for s in SCENARIOS.values():
            print(f"{s.name:32} {s.kind:10} {' '.join(s.expect)}")
        return 0
    out: Path = (args.samples or args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    index_file = out / "runs.json"
    index = json.loads(index_file.read_text()) if index_file.exists() and not args.samples else {}
    broken = 0
    for name in args.names or (SAMPLES if args.samples else SIZES if args.sizes else OLDER if args.older else SCENARIOS):
        if args.missing and (out / f"{name}{args.older or ''}.zstd").exists():
            continue
        print(f"running {name}", file=sys.stderr, flush=True)
        try:
            made = run(RUNNABLE[name], out)
            if args.older:
                (out / f"{name}.zstd").rename(out / f"{name}{args.older}.zstd")
                # Pairs are measured on one version only.
                made["mends"] = None
            index[f"{name}{args.older or ''}"] = made
        except subprocess.SubprocessError as error:
            broken += 1
            print(f"  failed: {error}", file=sys.stderr)
            continue
        if args.samples:
            (out / f"{name}.zstd").rename(out / f"{SAMPLES[name]}.zstd")
        else:
            index_file.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
