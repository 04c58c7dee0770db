"""The gate's report for people: place, rule, reason, the line itself, the fix."""

from spark_copilot.orchestration.gate import GateReport, lines_of
from spark_copilot.rules_engine.gate.finding import GateFinding

_COLOURS = {"error": "31", "warning": "33", "info": "36"}


def render(report: GateReport, *, colour: bool = False, max_width: int = 160) -> str:
    """One block a finding, and a last line that sums up."""
    parts = [_finding(f, report, colour, max_width) for f in report.findings]
    if report.verdict:
        parts.append(f"verdict: {report.verdict}\n")
    parts.append(summary_line(report) + "\n")
    return "\n".join(parts)


def summary_line(report: GateReport) -> str:
    """How much was found, looked at, suppressed."""
    counts = [f"{n} {level}{'s' if n != 1 and level != 'info' else ''}" for level, n in report.summary.items() if n]
    files = len(report.files)
    keys = sum(f.keys for f in report.files)
    tail = f" in {files} file{'s' if files != 1 else ''}, {keys} settings" if files else ""
    more = [
        f"{len(report.suppressed)} suppressed" if report.suppressed else "",
        f"{report.known} known from the baseline" if report.known else "",
    ]
    extra = "".join(f"; {m}" for m in more if m)
    return (", ".join(counts) if counts else "nothing found") + tail + extra


def _finding(finding: GateFinding, report: GateReport, colour: bool, max_width: int) -> str:
    place = f"{finding.file}:{finding.line}" + (f":{finding.column}" if finding.column else "")
    level = f"\x1b[{_COLOURS[finding.severity]}m{finding.severity}\x1b[0m" if colour else finding.severity
    out = [f"{place}: {level} {finding.rule} {finding.name}: {finding.message}"]
    lines = lines_of(report.texts.get(finding.file, ""))
    if 0 < finding.line <= len(lines) and lines[finding.line - 1].strip():
        number = str(finding.line)
        text = lines[finding.line - 1].replace("\t", " ")
        column = (finding.column or 1) - 1
        start = max(0, column - max_width // 2) if len(text) > max_width else 0
        shown = text[start : start + max_width]
        out.append(f"  {number} | {shown}")
        if finding.column:
            width = len(finding.key) if finding.key and text[column : column + len(finding.key)] == finding.key else 1
            out.append(f"  {' ' * len(number)} | {' ' * (column - start)}{'^' * width}")
    if finding.fix:
        out.append(f"  fix: {finding.fix}")
    return "\n".join(out) + "\n"
