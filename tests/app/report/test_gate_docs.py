"""The generated page is fresh, and its anchors are those that findings point to."""

from pathlib import Path

from spark_copilot.app.report.gate_docs import rules_page
from spark_copilot.orchestration.gate import gate_texts

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_page_of_rules_is_fresh() -> None:
    assert (DOCS / "gate-rules.md").read_text(encoding="utf-8") == rules_page(), "write it again: app/report/gate_docs.py"


def test_findings_point_to_their_rule() -> None:
    finding = gate_texts({"spark-defaults.conf": "spark.executor.memroy 4g"}).findings[0]
    page, _, anchor = finding.url.partition("#")
    assert f"### {anchor.upper()}\n" in (DOCS.parent / page).read_text(encoding="utf-8")
