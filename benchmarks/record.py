"""The record that ships with the program, taken from benchmarks/results/laboratory.json: `python benchmarks/record.py`."""

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "rules_engine" / "data" / "record.json"


def record(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per code: right, said, missed, pairs, median error of its savings."""
    made = {}
    for code, counts in result["codes"].items():
        errors = [p["error"] for p in result["savings"]["pairs"] if p["code"] == code]
        made[code] = {
            "right": counts["right"],
            "said": counts["right"] + counts["wrong"],
            "missed": counts["missed"],
            "pairs": len(errors),
            "error_ratio": round(statistics.median(errors), 3) if errors else None,
        }
    return made


def text(result: dict[str, Any]) -> str:
    """The file's content."""
    return json.dumps(record(result), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(text(json.loads((ROOT / "benchmarks" / "results" / "laboratory.json").read_text())))
