"""The gate's report as SARIF 2.1.0, with what GitHub code scanning wants."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spark_copilot.orchestration.gate import GateReport, fingerprint
from spark_copilot.rules_engine.gate.finding import GateFinding
from spark_copilot.rules_engine.gate.rules import RULES
from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_PROBLEM = {"error": "error", "warning": "warning", "info": "recommendation"}
_SECURITY = {"SG801": "8.0", "SG802": "8.0", "SG803": "5.0", "SG407": "5.0"}


def render(report: GateReport) -> str:
    """One run; suppressed findings are kept with their reason."""
    everything = [*report.findings, *report.suppressed]
    rules = _rules({f.rule for f in everything})
    index = {rule["id"]: at for at, rule in enumerate(rules)}
    run = {
        "tool": {"driver": {"name": "spark-copilot", "semanticVersion": _version(), "version": _version(), "rules": rules}},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "The root of the repository."}}},
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": [_failed(code, error) for code, error in report.failed]}
        ],
        "results": [_result(f, index[f.rule], report) for f in everything],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _version() -> str:
    try:
        return version("spark-intelligence-copilot")
    except PackageNotFoundError:
        return "0.0.0"


def _rules(used: set[str]) -> list[dict[str, Any]]:
    pages = [(r.code, r.name, r.severity, r.summary, r.page) for r in RULES if r.code in used]
    pages += [(r.code, r.name, r.severity, r.what, r.text) for r in RUN_PAGES if r.code in used]
    out = []
    for code, name, severity, summary, page in pages:
        properties: dict[str, Any] = {"tags": ["spark", "configuration"], "precision": "high", "problem.severity": _PROBLEM[severity]}
        if code in _SECURITY:
            properties |= {"security-severity": _SECURITY[code], "tags": ["spark", "configuration", "security"]}
        out.append(
            {
                "id": code,
                "name": "".join(part.capitalize() for part in name.split("-")),
                "shortDescription": {"text": name.replace("-", " ")},
                "fullDescription": {"text": summary},
                "help": {"text": page, "markdown": f"```\n{page}```"},
                "defaultConfiguration": {"level": _LEVELS[severity]},
                "properties": properties,
            }
        )
    return out


def _result(finding: GateFinding, index: int, report: GateReport) -> dict[str, Any]:
    text = finding.message + (f" Fix: {finding.fix}." if finding.fix else "")
    mark = hashlib.sha256(f"{fingerprint(finding, report.texts)}{finding.message}".encode()).hexdigest()[:32]
    out: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": _place(finding, finding.line, finding.column)}],
        "partialFingerprints": {"primaryLocationLineHash": mark},
    }
    if finding.related:
        out["relatedLocations"] = [
            {"id": 1, "message": {"text": "the other setting"}, "physicalLocation": _place(finding, finding.related, None)}
        ]
    if finding.suppressed is not None:
        out["suppressions"] = [{"kind": "inSource", "justification": finding.suppressed}]
    return out


def _place(finding: GateFinding, line: int, column: int | None) -> dict[str, Any]:
    uri = finding.file.replace("\\", "/").removeprefix("./").lstrip("/")
    region: dict[str, int] = {"startLine": max(line, 1)}
    if column:
        region |= {"startColumn": column, "endColumn": column + (len(finding.key) if finding.key else 1), "endLine": max(line, 1)}
    return {"artifactLocation": {"uri": _quoted(uri), "uriBaseId": "%SRCROOT%"}, "region": region}


def _quoted(uri: str) -> str:
    from urllib.parse import quote

    return quote(uri, safe="/:@!$&'()*+,;=~-._")


def _failed(code: str, error: str) -> dict[str, Any]:
    return {"level": "warning", "message": {"text": f"rule {code} broke: {error}"}}
