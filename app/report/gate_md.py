"""The gate's report as Markdown: a comment on a pull request, or a job summary."""

from spark_copilot.app.report.gate_text import summary_line
from spark_copilot.orchestration.gate import GateReport
from spark_copilot.rules_engine.gate.finding import SEVERITIES

_MOST = 200


def render(report: GateReport) -> str:
    """A heading with the sum, and a table, worst first."""
    out = [f"### Spark settings: {summary_line(report)}", ""]
    if report.verdict:
        out += [f"**{_cell(report.verdict)}**", ""]
    ordered = sorted(report.findings, key=lambda f: SEVERITIES.index(f.severity))
    if ordered:
        out += ["| | rule | place | what | fix |", "|---|---|---|---|---|"]
        for f in ordered[:_MOST]:
            out.append(f"| {f.severity} | `{f.rule}` {f.name} | `{_cell(f.file)}:{f.line}` | {_cell(f.message)} | {_cell(f.fix or '')} |")
        if len(ordered) > _MOST:
            out.append(f"\n{len(ordered) - _MOST} more are not shown.")
    return "\n".join(out) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
