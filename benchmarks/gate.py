"""How fast the gate is: a repository of 1,000 files, and the start of the command; beside other linters of PySpark where they are installed.

    python benchmarks/gate.py [--cases DIR] [--peers spark-perf-lint,sparkdoctor,cylint,pyspark-antipattern]

The files are made here from a few shapes, every one a little different; with --cases the labelled cases are scored as well.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "gate.json"
PEERS = {
    "spark-perf-lint": ["spark-perf-lint", "scan"],
    "sparkdoctor": ["sparkdoctor", "lint"],
    "cylint": ["cy", "lint"],
    "pyspark-antipattern": ["pyspark-antipattern", "check"],
}
PYTHON = """from pyspark.sql import SparkSession, functions as F

CONF = {{"spark.sql.shuffle.partitions": "{n}", "spark.sql.adaptive.enabled": "true"}}


def main() -> None:
    builder = SparkSession.builder.appName("job{n}")
    for key, value in CONF.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", 32 * 1024 * 1024)
    orders = spark.read.parquet("s3a://lake/orders{n}")
    daily = orders.groupBy(F.to_date("at").alias("day")).agg(F.sum("amount").alias("amount"))
    daily.write.mode("append").parquet("s3a://lake/daily{n}")


if __name__ == "__main__":
    main()
"""
SHAPES = {
    "jobs/job{n}.py": PYTHON,
    "bin/job{n}.sh": "#!/bin/sh\nspark-submit --master yarn --executor-memory 8g \\\n  --conf spark.executor.cores=4 jobs/job{n}.py --n {n}\n",
    "sql/q{n}.sql": "SET spark.sql.shuffle.partitions={n}9;\nSELECT a, count(*) FROM t{n} GROUP BY a;\n",
    "conf/{n}/spark-defaults.conf": "spark.executor.memory 8g\nspark.executor.cores 4\nspark.sql.session.timeZone UTC\nspark.app.name j{n}\n",
    "k8s/app{n}.yaml": "apiVersion: sparkoperator.k8s.io/v1beta2\nkind: SparkApplication\nmetadata: {{name: a{n}}}\nspec:\n  sparkVersion: 3.5.1\n"
    '  sparkConf:\n    spark.sql.shuffle.partitions: "{n}00"\n  executor: {{cores: 4, memory: 8g}}\n',
}


def make(folder: Path, count: int) -> int:
    """`count` files of all shapes; how many bytes they have."""
    size = 0
    for number in range(count):
        name, text = list(SHAPES.items())[number % len(SHAPES)]
        path = folder / name.format(n=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(n=number + 1))
        size += path.stat().st_size
    return size


def timed(command: list[str]) -> tuple[float, float, int]:
    """(seconds on the clock, CPU seconds, exit code) of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, code


def best(command: list[str], rounds: int) -> dict[str, float]:
    """The fastest of some rounds."""
    clock, cpu, code = min(timed(command) for _ in range(rounds))
    return {"seconds": round(clock, 3), "cpu_seconds": round(cpu, 3), "exit": code}


def main() -> None:
    """Measure, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    gate = [str(Path(sys.executable).parent / "spark-copilot"), "gate"]
    figures: dict[str, object] = {"files": arguments.files, "cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures["bytes"] = make(folder, arguments.files)
        figures["gate"] = best([*gate, name, "--isolated", "--spark-version", "3.5", "--platform", "yarn"], 3)
        figures["start"] = best([*gate, str(folder / "conf" / "3" / "spark-defaults.conf"), "--isolated"], 5)
        for peer in filter(None, arguments.peers.split(",")):
            tool = shutil.which(PEERS[peer][0]) or shutil.which(PEERS[peer][0], path=str(Path(sys.executable).parent))
            figures[peer] = best([tool, *PEERS[peer][1:], name], 1) if tool else "not installed"
    if arguments.cases:
        score = [sys.executable, str(arguments.cases.parent / "score.py"), str(arguments.cases), gate[0]]
        said = subprocess.run(score, capture_output=True, text=True, check=False).stdout.strip()
        figures["score"] = said.splitlines()[-1] if said else "no answer"
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
