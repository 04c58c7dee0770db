"""The page of all gate rules, generated from the rules themselves."""

from spark_copilot.rules_engine.gate.rules import RULES
from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES

_FAMILIES = {
    "SG0": "The file and the command",
    "SG1": "Keys",
    "SG2": "Values",
    "SG3": "Place and time",
    "SG4": "Relations",
    "SG5": "Sizes",
    "SG6": "Speed of SQL",
    "SG7": "Results and recovery",
    "SG8": "Secrets and records",
    "SG9": "Platforms",
    "SR0": "A run against its baseline",
}


def rules_page() -> str:
    """docs/gate-rules.md"""
    out = ["<!-- generated from rules_engine/gate/rules -->", "# Rules of the gate", ""]
    family = ""
    pages = [(r.code, r.name, r.severity, r.on, r.page) for r in RULES] + [(r.code, r.name, r.severity, True, r.text) for r in RUN_PAGES]
    for code, name, severity, on, page in pages:
        if code[:3] != family:
            family = code[:3]
            out += [f"## {_FAMILIES[family]}", ""]
        body = page.split("\n\n", 1)[1].strip()
        what, *rest = body.split("\n")
        lines = [f"- {line}" for line in rest if line.strip()]
        state = severity if on else f"{severity}, off by default"
        out += [f"### {code}", "", f"**{name}** ({state})", "", what, "", *lines, ""]
    return "\n".join(out)
