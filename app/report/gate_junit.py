"""The gate's report as JUnit XML: a suite a file, a case a finding, one passing case for a clean file."""

from collections import defaultdict
from xml.sax.saxutils import escape, quoteattr

from spark_copilot.orchestration.gate import GateReport
from spark_copilot.rules_engine.gate.finding import GateFinding


def render(report: GateReport) -> str:
    """testsuites > testsuite > testcase."""
    by_file: dict[str, list[GateFinding]] = defaultdict(list)
    for finding in report.findings:
        by_file[finding.file].append(finding)
    names = list(dict.fromkeys([*(f.file for f in report.files), *by_file]))
    suites = "".join(_suite(name, by_file[name]) for name in names)
    tests = sum(max(1, len(by_file[name])) for name in names)
    head = f'<testsuites name="spark-copilot gate" tests="{tests}" failures="{len(report.findings)}" errors="0">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}\n{suites}</testsuites>\n'


def _suite(name: str, findings: list[GateFinding]) -> str:
    passed = f'    <testcase name="gate" classname={quoteattr(_clean(name))}/>\n'
    cases = "".join(_case(f) for f in findings) or passed
    count = max(1, len(findings))
    return f'  <testsuite name={quoteattr(_clean(name))} tests="{count}" failures="{len(findings)}" errors="0">\n{cases}  </testsuite>\n'


def _case(finding: GateFinding) -> str:
    body = f"line {finding.line}: {finding.message}" + (f"\nfix: {finding.fix}" if finding.fix else "")
    name = quoteattr(_clean(f"{finding.rule} {finding.name} line {finding.line}" + (f" {finding.key}" if finding.key else "")))
    failure = f"<failure type={quoteattr(finding.severity)} message={quoteattr(_clean(finding.message))}>{escape(_clean(body))}</failure>"
    return f'    <testcase name={name} classname={quoteattr(_clean(finding.file))} file={quoteattr(_clean(finding.file))} line="{finding.line}">{failure}</testcase>\n'


def _clean(text: str) -> str:
    """Without the control signs that XML cannot hold."""
    return "".join(sign for sign in text if sign in "\t\n" or ord(sign) >= 32)
