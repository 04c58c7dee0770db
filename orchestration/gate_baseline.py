"""A baseline file: fingerprints of findings that are known, so that only new ones count."""

import json
from pathlib import Path

from spark_copilot.orchestration.gate import GateReport, fingerprint
from spark_copilot.rules_engine.errors import UsageError

_KIND = "spark-copilot-gate-baseline"


def is_baseline(path: Path) -> bool:
    """Whether this is a baseline of findings, told by content."""
    try:
        with path.open("rb") as stream:
            return _KIND.encode() in stream.read(400)
    except OSError:
        return False


def load(path: Path) -> frozenset[str]:
    """The fingerprints in a baseline file.

    Raises:
        UsageError: it is none.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(str(row["fingerprint"]) for row in data["findings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: no baseline of the gate ({error})", hint="--write-baseline makes one") from None


def render(report: GateReport) -> str:
    """The baseline of what a report found."""
    rows = [{"fingerprint": fingerprint(f, report.texts), "rule": f.rule, "file": f.file, "key": f.key} for f in report.findings]
    return json.dumps({"kind": _KIND, "version": 1, "findings": rows}, indent=1) + "\n"
