"""`scrub LOG OUT`: an event log that may be shown to others, for bug reports."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(
    log: Annotated[Path, typer.Argument(help="The event log.")],
    out: Annotated[Path, typer.Argument(help="Where the scrubbed log goes; must not be there yet.")],
) -> None:
    """Hosts, users, names, paths and literals are replaced, each by the same word everywhere; the findings and their figures stay the same."""
    from spark_copilot.app.config import load
    from spark_copilot.app.wiring import limits_of
    from spark_copilot.orchestration.scrub import scrub_log

    if out.exists():
        raise UsageError(f"{out} is there already", hint="name a new file")
    lines = scrub_log(log, out, limits=limits_of(load()))
    print(f"{lines:,} lines written to {out}; look through it before you share it", file=sys.stderr)  # noqa: T201 - a note, not data
