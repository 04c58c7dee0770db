"""The gate's report as JSON."""

import json

from spark_copilot.orchestration.gate import GateReport


def render(report: GateReport) -> str:
    """One JSON object in the contract's shape."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
