"""Pages of the gate's rules, looked up by code or name without loading anything else."""


def page_of(code: str) -> str | None:
    """The page of a gate rule by code ("SG101") or name ("unknown-key"); None for anything else."""
    from spark_copilot.rules_engine.gate.rules import RULES  # loaded on demand: importing the package stays light
    from spark_copilot.rules_engine.gate.run_pages import RUN_PAGES

    wanted = code.strip().lower()
    for rule in RULES:
        if wanted in (rule.code.lower(), rule.name):
            return rule.page
    for page in RUN_PAGES:
        if wanted in (page.code.lower(), page.name):
            return page.text
    return None
