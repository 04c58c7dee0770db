"""The gate's report as GitLab code quality: a list of issues with a fingerprint each."""

import hashlib
import json
from collections import Counter
from typing import Any

from spark_copilot.orchestration.gate import GateReport, fingerprint

_LEVELS = {"error": "critical", "warning": "minor", "info": "info"}


def render(report: GateReport) -> str:
    """A JSON list; two equal findings in one file have different fingerprints."""
    seen: Counter[str] = Counter()
    out: list[dict[str, Any]] = []
    for f in report.findings:
        mark = fingerprint(f, report.texts)
        seen[mark] += 1
        out.append(
            {
                "description": f"{f.rule} {f.message}" + (f" Fix: {f.fix}" if f.fix else ""),
                "check_name": f"{f.rule} {f.name}",
                "fingerprint": hashlib.sha256(f"{mark}{seen[mark]}".encode()).hexdigest()[:40],
                "severity": _LEVELS[f.severity],
                "location": {"path": f.file.removeprefix("./"), "lines": {"begin": max(f.line, 1)}},
            }
        )
    return json.dumps(out, indent=2, ensure_ascii=False) + "\n"
