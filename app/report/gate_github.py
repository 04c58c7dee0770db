"""The gate's report as GitHub workflow commands (annotations), worst first, since GitHub shows only the first ten of a kind."""

from spark_copilot.app.report.gate_text import summary_line
from spark_copilot.orchestration.gate import GateReport
from spark_copilot.rules_engine.gate.finding import SEVERITIES, GateFinding

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def render(report: GateReport) -> str:
    """One command a finding and a last plain line."""
    ordered = sorted(report.findings, key=lambda f: (SEVERITIES.index(f.severity), f.file, f.line))
    return "".join(_command(f) + "\n" for f in ordered) + summary_line(report) + "\n"


def _command(finding: GateFinding) -> str:
    line = max(finding.line, 1)
    values = {"title": f"{finding.rule} {finding.name}", "file": finding.file.removeprefix("./"), "line": str(line), "endLine": str(line)}
    if finding.column:
        end = finding.column + (len(finding.key) if finding.key else 1)
        values |= {"col": str(finding.column), "endColumn": str(end)}
    text = finding.message + (f"\nfix: {finding.fix}" if finding.fix else "")
    return f"::{_COMMANDS[finding.severity]} {','.join(f'{k}={_property(v)}' for k, v in values.items())}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
