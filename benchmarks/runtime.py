"""Run-time prediction on the public C3O, Bell and Dataproc runs: mean absolute percentage error on seeded splits, and interval coverage.

The published figures beside ours come from the whole of each data set; a part of it may be all that lies here, so the line says how many rows it used.
usage: python benchmarks/runtime.py [FOLDER with c3o/, bell/, dataproc/]   (default: ../shared/runtime/dev)
"""

import csv
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_limits

from spark_copilot.ml.runtime_baselines import Ernest, Linear
from spark_copilot.ml.runtime_columns import Scaling
from spark_copilot.ml.runtime_kernels import Floats
from spark_copilot.ml.runtime_predictor import RuntimePredictor

ROOT = Path(__file__).resolve().parent.parent
SPLITS = {"global": 100, "few": 100, "bell": 100, "dataproc": 100}
# Column: kind, the rows the published protocol keeps, and the columns that make a context.
JOBS: dict[str, tuple[dict[str, str], Callable[[dict[str, str]], bool], tuple[str, ...]]] = {
    "sort": (
        {"instance_count": "scale_out", "data_size_MB": "input_size"},
        lambda r: r["machine_type"] == "c4.2xlarge" and r["line_length"] == "100",
        (),
    ),
    "grep": (
        {"instance_count": "scale_out", "data_size_MB": "input_size", "p_occurrence": "fraction"},
        lambda r: r["machine_type"] == "m4.2xlarge",
        ("p_occurrence",),
    ),
    "sgd": (
        {"instance_count": "scale_out", "observations": "input_size", "features": "count", "iterations": "count"},
        lambda r: r["machine_type"] == "r4.2xlarge" and r["instance_count"] != "2",
        ("iterations",),
    ),
    "kmeans": (
        {"instance_count": "scale_out", "observations": "input_size", "features": "count", "k": "count"},
        lambda r: r["machine_type"] == "r4.2xlarge" and r["instance_count"] != "2",
        ("k",),
    ),
    "pagerank": (
        {"instance_count": "scale_out", "links": "input_size", "pages": "count", "convergence_criterion": "tolerance"},
        lambda r: r["machine_type"] == "r4.2xlarge",
        ("pages", "convergence_criterion"),
    ),
}
# Published means: the C3O predictor (P1, P3), Bell and kernel regression (P4). None: nobody published one.
PUBLISHED = {
    "global 90/10": 2.51,
    "few n=3": 35.8,
    "few n=6": 27.2,
    "few n=10": 21.9,
    "few n=15": 17.3,
    "few n=30": 10.1,
    "bell n=3": 5.6,
    "bell n=5": 6.8,
    "bell n=10": 4.7,
    "bell n=15": 2.5,
}


class Data:
    """Rows of one job with what its columns are."""

    def __init__(self, kinds: dict[str, str], x: Floats, y: Floats) -> None:
        self.kinds, self.x, self.y = kinds, x, y

    def score(self, train: Floats, test: Floats) -> dict[str, float]:
        """Errors in percent on the test rows, of ours and of two plain models."""
        x, y = self.x[train], self.y[train]
        truth = self.y[test]
        model = RuntimePredictor(list(self.kinds), self.kinds).fit(x, y)
        low, high = model.predict_interval(self.x[test], 0.9)
        kinds = list(self.kinds.values())
        scaling, size = Scaling.of(x, kinds), kinds.index("input_size") if "input_size" in kinds else None
        ernest = np.exp(Ernest(x, np.log(y), kinds.index("scale_out"), size).predict(self.x[test], scaling(self.x[test])))
        linear = np.exp(Linear(scaling(x), np.log(y)).predict(self.x[test], scaling(self.x[test])))
        ours = model.predict(self.x[test])
        errors = {"ours": ours, "ernest": ernest, "linear": linear}
        out = {name: float(np.mean(np.abs(p / truth - 1)) * 100) for name, p in errors.items()}
        return {**out, "coverage": float(np.mean((low <= truth) & (truth <= high)) * 100)}


def repeats(folder: Path) -> dict[str, dict[tuple[float, ...], list[float]]]:
    """Seconds of every repeat of each C3O configuration that the published protocol keeps."""
    out = {}
    for job, (kinds, keep, _) in JOBS.items():
        groups = defaultdict(list)
        with (folder / "c3o" / f"{job}.tsv").open(encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                if keep(row):
                    groups[tuple(float(row[c]) for c in kinds)].append(float(row["gross_runtime"]))
        out[job] = dict(groups)
    return out


def c3o(folder: Path) -> dict[str, Data]:
    """Median of the repeats of each configuration."""
    return {
        job: Data(JOBS[job][0], np.array(list(groups)), np.array([median(v) for v in groups.values()]))
        for job, groups in repeats(folder).items()
    }


def floor(groups: dict[tuple[float, ...], list[float]]) -> float:
    """Error in percent that no model can avoid: how far the median of a configuration's repeats, drawn anew, lies from itself."""
    rng = np.random.default_rng(0)
    return float(np.mean([np.mean(np.abs(np.median(rng.choice(v, (200, len(v))), axis=1) / median(v) - 1)) for v in groups.values()]) * 100)


def dataproc(folder: Path) -> dict[str, Data]:
    """One run a configuration; memory in GB of the whole cluster."""
    kinds = {
        "scaleout": "scale_out",
        "dataset_size_bytes": "input_size",
        "cpu_cores_per_node": "count",
        "memory_gb_per_node": "memory_per_node",
    }
    groups: dict[str, list[list[float]]] = defaultdict(list)
    for path in sorted((folder / "dataproc").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                groups[row["algorithm"]].append([float(row[c]) for c in (*kinds, "runtime")])
    return {job: Data(kinds, np.array(rows)[:, :-1], np.array(rows)[:, -1]) for job, rows in groups.items()}


def draws(size: int, train: int, splits: int) -> Iterator[tuple[Floats, Floats]]:
    """Seeded random splits."""
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(size)
        yield order[:train], order[train:]


def bell(folder: Path, n: int, splits: int) -> Iterator[list[dict[str, float]]]:
    """n node counts, one run each; the test is one run at one node count within their range. Fastest and slowest repeats are left out."""
    for path in sorted((folder / "bell").glob("*.csv")):
        groups: dict[float, list[float]] = defaultdict(list)
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                groups[float(row["Nodes"])].append(float(row["Runtime"]) / 1000)
        runs = {nodes: sorted(v)[1:-1] for nodes, v in groups.items()}
        rows = []
        for seed in range(splits):
            rng = np.random.default_rng(seed)
            chosen = rng.choice(sorted(runs), n, replace=False)
            inside = [v for v in sorted(runs) if chosen.min() <= v <= chosen.max()]
            nodes = np.append(chosen, rng.choice(inside))
            data = Data({"nodes": "scale_out"}, nodes[:, None], np.array([rng.choice(runs[v]) for v in nodes]))
            rows.append(data.score(np.arange(n), np.array([n])))
        yield rows


def held_out(data: Data, name: str, context: tuple[str, ...]) -> Iterator[dict[str, float]]:
    """Each context in turn, the largest input, or the most nodes left out of training."""
    kinds = list(data.kinds)
    if name == "new context":
        columns = data.x[:, [kinds.index(c) for c in context]]
        masks = [(columns == value).all(axis=1) for value in np.unique(columns, axis=0)] if context else []
    else:
        column = data.x[:, 1 if name == "larger input" else 0]
        masks = [column == column.max()]
    for test in masks:
        yield data.score(np.flatnonzero(~test), np.flatnonzero(test))


def line(name: str, jobs: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """Print and return one row: mean over jobs of the mean over splits, its standard error, and each job's mean."""
    jobs = {job: rows for job, rows in jobs.items() if rows}
    means = {
        key: float(np.mean([np.mean([r[key] for r in rows]) for rows in jobs.values()])) for key in ("ours", "ernest", "linear", "coverage")
    }
    error = float(np.sqrt(sum(np.var([r["ours"] for r in v], ddof=1) / len(v) for v in jobs.values() if len(v) > 1)) / len(jobs))
    single = all(len(v) < 2 for v in jobs.values())  # one split a job has no spread
    spread = "" if single else f"± {error:.2f}"
    published = PUBLISHED.get(name)
    print(
        f"{name:14} ours {means['ours']:6.2f} {spread:6}   ernest {means['ernest']:6.2f}   linear {means['linear']:6.2f}   "
        f"published {published if published is not None else '-':>5}   90 % interval holds {means['coverage']:.0f} %   splits {sum(map(len, jobs.values()))}"
    )
    return {
        **{k: round(v, 2) for k, v in means.items()},
        "standard_error": None if single else round(error, 3),
        "published": published,
        "splits": sum(map(len, jobs.values())),
        "jobs": {job: round(float(np.mean([r["ours"] for r in rows])), 2) for job, rows in jobs.items()},
    }


def main() -> None:
    """Every protocol the data allow."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "runtime" / "dev"
    if not folder.is_dir():
        sys.exit(f"no runtime data at {folder}; pass the folder that holds c3o/, bell/ and dataproc/")
    began, result = time.perf_counter(), {}
    jobs = c3o(folder)
    rows = {job: len(d.y) for job, d in jobs.items()}
    print("rows used:", rows)
    floors = {job: round(floor(groups), 2) for job, groups in repeats(folder).items()}
    print(f"noise of the medians, below which no error can fall: {floors}, mean {np.mean(list(floors.values())):.2f}")
    result["global 90/10"] = line(
        "global 90/10", {j: [d.score(a, b) for a, b in draws(len(d.y), int(0.9 * len(d.y)), SPLITS["global"])] for j, d in jobs.items()}
    )
    for n in (3, 6, 10, 15, 30):
        result[f"few n={n}"] = line(
            f"few n={n}", {j: [d.score(a, b) for a, b in draws(len(d.y), n, SPLITS["few"])] for j, d in jobs.items() if len(d.y) > n + 5}
        )
    for name in ("new context", "larger input", "more nodes"):
        result[name] = line(name, {j: list(held_out(d, name, JOBS[j][2])) for j, d in jobs.items()})
    for n in (3, 5, 10, 15):
        result[f"bell n={n}"] = line(f"bell n={n}", {str(i): r for i, r in enumerate(bell(folder, n, SPLITS["bell"]))})
    for n in (6, 10, 15):
        name = f"dataproc n={n}"
        result[name] = line(
            name, {j: [d.score(a, b) for a, b in draws(len(d.y), n, SPLITS["dataproc"])] for j, d in dataproc(folder).items()}
        )
    print(f"{time.perf_counter() - began:.0f} s")
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "runtime.json").write_text(
        json.dumps({"rows": rows, "floor": floors, "protocols": result}, indent=1) + "\n"
    )


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
