"""`keys`: who may use the service."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from spark_copilot.app.config import load
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage import migrate
from spark_copilot.storage.access_repository import SCOPES, KeyRepository, Scope, check_tenant
from spark_copilot.storage.database import Database
from spark_copilot.storage.models import LOCAL_TENANT, ApiKey

app = typer.Typer(no_args_is_help=True)

_LIFE = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
Format = Annotated[str, typer.Option("--format", help="text or json")]


@app.callback()
def group() -> None:
    """API keys. Once there is one, the server asks for a key everywhere; see docs/access.md."""


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for; shown in the list.")],
    tenant: Annotated[str, typer.Option(help="Whose runs it sees.")] = LOCAL_TENANT,
    scope: Annotated[str, typer.Option(help="read, write (reads too) or admin (writes too, and sees the audit log).")] = "write",
    expires: Annotated[str | None, typer.Option(help="Its time, as 90d or 12h; without it the key holds until it is revoked.")] = None,
    output_format: Format = "text",
) -> None:
    """Make a key and print it. It is shown this once."""
    _known(output_format)
    wanted: Scope | None = next((known for known in SCOPES if known == scope), None)
    if wanted is None:
        raise UsageError(f"no scope {scope!r}", hint="known: " + ", ".join(SCOPES))
    check_tenant(tenant)
    if not 0 < len(name) <= 200:
        raise UsageError("a key's name has 1 to 200 characters")
    with _keys() as keys:
        key, row = keys.create(tenant, name, wanted, _life(expires))
    if output_format == "json":
        typer.echo(json.dumps({"key": key, **_values(row)}))
        return
    typer.echo(key)
    print(f"key {row.id} of {tenant}, scope {scope}; it is not shown again", file=sys.stderr)  # noqa: T201 - a note, not data


@app.command("list")
def every(tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None, output_format: Format = "text") -> None:
    """Print the keys there are, never a key itself."""
    _known(output_format)
    with _keys() as keys:
        rows = keys.every(tenant)
    if output_format == "json":
        typer.echo(json.dumps({"schema_version": 1, "keys": [_values(row) for row in rows]}))
        return
    lines = [("id", "tenant", "scope", "begins", "expires", "last used", "name")]
    for row in rows:
        end = "revoked" if row.revoked_ms is not None else _moment(row.expires_ms, "never")
        lines.append((row.id, row.tenant, row.scope, row.prefix, end, _moment(row.last_used_ms, "never"), row.name))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows.")]) -> None:
    """Take a key back. It holds from the next request on."""
    with _keys() as keys:
        row = keys.revoke(key_id)
    print(f"key {row.id} ({row.name}) is revoked", file=sys.stderr)  # noqa: T201 - a note, not data


@contextmanager
def _keys() -> Iterator[KeyRepository]:
    settings = load()
    with closing(Database(settings.database_url, settings.home)) as database:
        migrate.upgrade(database)
        yield KeyRepository(database)


def _life(text: str | None) -> int | None:
    if text is None:
        return None
    found = _LIFE.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no length of time", hint="as 90d, 12h or 4w")
    return int(found[1]) * _UNIT_MS[found[2]]


def _known(output_format: str) -> None:
    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")


def _values(row: ApiKey) -> dict[str, Any]:
    names = ("id", "tenant", "name", "prefix", "scope", "created_ms", "expires_ms", "revoked_ms", "last_used_ms")
    return {name: getattr(row, name) for name in names}


def _moment(ms: int | None, otherwise: str) -> str:
    return otherwise if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
