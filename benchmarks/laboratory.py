"""Precision, recall and savings on the laboratory's runs, beside two baselines: thresholds that peers use, and their promise of a saving.

usage: python benchmarks/laboratory.py [FOLDER with logs and runs.json]     (default: tests/data/laboratory)

A run is right about its fault when one of the expected codes is among its findings above `info`. Every other code above `info` counts as wrong unless the run allows it.
A saving is measured on the mended twin: wall clock without start-up of the one less that of the other.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from spark_copilot.orchestration.analyse import analyse_run, read
from spark_copilot.rules_engine.facts import AppRun
from spark_copilot.rules_engine.findings import Report, Severity
from spark_copilot.rules_engine.profile import profile

ROOT = Path(__file__).resolve().parent.parent
LABORATORY = ROOT / "tests" / "data" / "laboratory"


def peer_codes(run: AppRun) -> set[str]:
    """What common thresholds of open peers say: slowest / median task over 5, any spill, collection over 10 % of run time, any failed task."""
    said = set()
    for stage in (profile(run).stage(r) for r in range(len(run.stages))):
        if not stage.n:
            continue
        if stage.n > 1 and float(stage.ms.max()) > 5 * max(float(np.median(stage.ms)), 1.0):
            said.add("data-skew")
        if int(stage.column("memory_spilled_bytes").sum()) > 0:
            said.add("spill")
        if int(stage.column("gc_ms").sum()) > 0.1 * max(int(stage.column("run_ms").sum()), 1):
            said.add("gc-pressure")
    if len(run.tasks) and (run.tasks.status == 1).any():
        said.add("task-failures")
    return said


def score(said: dict[str, set[str]], index: dict[str, Any]) -> dict[str, Any]:
    """Recall over faulty runs, precision over everything said, healthy runs with a false alarm."""
    found = sum(bool(said[n] & set(m["expect"])) for n, m in index.items() if m["expect"])
    faults = sum(bool(m["expect"]) for m in index.values())
    right = sum(len(said[n] & {*m["expect"], *m["allow"]}) for n, m in index.items())
    total = sum(len(s) for s in said.values())
    alarms = [n for n, m in index.items() if not m["expect"] and said[n] - set(m["allow"])]
    return {
        "recall": round(found / max(faults, 1), 3),
        "precision": round(right / max(total, 1), 3),
        "faults": faults,
        "said": total,
        "quiet_runs": len(index) - faults,
        "quiet_runs_with_alarm": alarms,
    }


def settled(run: AppRun) -> int:
    """Wall clock without start-up, which no fix changes."""
    return run.wall_ms - (run.first_job_ms - run.started_ms)


def main() -> None:
    """Print both tables and write results/laboratory.json."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else LABORATORY
    index = json.loads((folder / "runs.json").read_text())
    runs = {name: read(folder / f"{name}.zstd") for name in sorted(index)}
    reports: dict[str, Report] = {name: analyse_run(run) for name, run in runs.items()}
    ours = {n: {f.code for f in r.findings if f.severity is not Severity.INFO} for n, r in reports.items()}
    result: dict[str, Any] = {
        "runs": len(index),
        "ours": score(ours, index),
        "peer thresholds": score({n: peer_codes(r) for n, r in runs.items()}, index),
    }
    high = [
        n
        for n, m in index.items()
        if not m["expect"] and any(f.severity.rank <= Severity.HIGH.rank and f.code not in m["allow"] for f in reports[n].findings)
    ]
    result["quiet_runs_with_high"] = high
    for name in ("ours", "peer thresholds"):
        s = result[name]
        print(
            f"{name:16} recall {s['recall']:.2f} of {s['faults']} faults, precision {s['precision']:.2f} of {s['said']} findings, false alarms on {len(s['quiet_runs_with_alarm'])} of {s['quiet_runs']} quiet runs"
        )
    print(f"{'':16} high or above on quiet runs: {high or 'none'}")
    per: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name, meta in index.items():
        for code in ours[name]:
            per[code][0 if code in {*meta["expect"], *meta["allow"]} else 1] += 1
        if meta["expect"] and not ours[name] & set(meta["expect"]):
            per[meta["expect"][0]][2] += 1
            print(f"missed: {name} ({', '.join(meta['expect'])})")
    pairs, promised = [], []
    for name, meta in sorted(index.items()):
        twin = meta["mends"]
        if not twin or twin not in index:
            continue
        measured = settled(runs[twin]) - settled(runs[name])
        finding = next((f for f in reports[twin].findings if f.code in index[twin]["expect"] and f.saving is not None), None)
        wall = finding.saving.wall_ms if finding is not None and finding.saving is not None else None
        row = {"run": twin, "code": index[twin]["expect"][0], "wall_ms": runs[twin].wall_ms, "measured_ms": measured}
        row |= {"low": wall.low, "mid": wall.mid, "high": wall.high} if wall is not None else {"low": 0, "mid": 0, "high": 0}
        row["holds"] = bool(row["low"] <= measured <= row["high"])
        row["error"] = round(abs(row["mid"] - measured) / runs[twin].wall_ms, 3)
        pairs.append(row)
        if measured <= 0:
            promised.append(row["mid"] / runs[twin].wall_ms)
        print(
            f"{twin:24} {row['code']:30} promised {row['mid'] / 1000:5.1f} s ({row['low'] / 1000:.1f} to {row['high'] / 1000:.1f}), measured {measured / 1000:5.1f} s  {'holds' if row['holds'] else 'OUT'}  off by {100 * row['error']:.0f} %"
        )
    result["savings"] = {
        "pairs": pairs,
        "holds": round(sum(p["holds"] for p in pairs) / max(len(pairs), 1), 3),
        "median_error": round(statistics.median(p["error"] for p in pairs), 3) if pairs else None,
        "largest_promise_where_nothing_came": round(max(promised), 3) if promised else None,
    }
    result["codes"] = {code: {"right": a, "wrong": b, "missed": c} for code, (a, b, c) in sorted(per.items())}
    print(
        f"savings: the interval holds {100 * result['savings']['holds']:.0f} % of {len(pairs)} pairs, median error {100 * (result['savings']['median_error'] or 0):.0f} % of the wall clock"
    )
    out = ROOT / "benchmarks" / "results" / "laboratory.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
