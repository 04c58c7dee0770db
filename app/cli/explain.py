"""`explain CODE`: a rule's page."""

from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(code: Annotated[str, typer.Argument(help="A finding's code, for example data-skew or SG101.")]) -> None:
    """What the rule sees, why it costs, what to do, and where it is blind."""
    from spark_copilot.rules_engine.catalog import RULES, rule_of
    from spark_copilot.rules_engine.gate import page_of

    rule = rule_of(code)
    if rule is None and (page := page_of(code)) is not None:
        typer.echo(page)
        return
    if rule is None:
        raise UsageError(f"no rule has the code {code!r}", hint="known: " + ", ".join(r.code for r in RULES))
    typer.echo(rule.page)
