"""`explain CODE`: a rule's page."""

from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(code: Annotated[str, typer.Argument(help="A finding's code, for example data-skew.")]) -> None:
    """What the rule sees, why it costs, what to do, and where it is blind."""
    from spark_copilot.rules_engine.catalog import RULES, rule_of

    rule = rule_of(code)
    if rule is None:
        raise UsageError(f"no rule has the code {code!r}", hint="known: " + ", ".join(r.code for r in RULES))
    typer.echo(rule.page)
