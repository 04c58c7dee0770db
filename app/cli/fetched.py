"""A log at an address, brought home for the time that a command reads it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from spark_copilot.app.cli.progress import reading
from spark_copilot.app.config import Settings
from spark_copilot.app.fetching import asked, fetch
from spark_copilot.app.files import safe_name
from spark_copilot.connectors.remote import BadSource, place
from spark_copilot.rules_engine.errors import UsageError

_HADOOP = re.compile(r"s3[an](?=://)", re.IGNORECASE)
"""What Spark itself calls a bucket by."""
_ATTEMPT = r"/(?P<id>[^/?#]+)(?:/(?P<attempt>\d+)(?=[/?#]|$))?"
_APPLICATIONS = tuple(
    re.compile(rf"(?P<server>https?://[^?#]*?)/{folder}{_ATTEMPT}", re.IGNORECASE) for folder in ("api/v1/applications", "history")
)
"""An application in the server's API, and its pages there."""
_ID = re.compile(r"(?P<id>[^/]+)(?:/(?P<attempt>\d+))?")


def application_url(server: str, application: str) -> str:
    """The address of an application, `ID` or `ID/ATTEMPT`, on a History Server.

    Raises:
        UsageError: this is no application's id.
    """
    found = _ID.fullmatch(application)
    if found is None:
        raise UsageError(
            f"{application}: not an application's id", hint="with --history-server a log is named by its application: ID or ID/ATTEMPT"
        )
    return f"{server.rstrip('/')}/api/v1/applications/{application}"


@contextmanager
def fetched(address: str, settings: Settings) -> Iterator[Path]:
    """The log in a file, which is gone with the block.

    Raises:
        BadSource: no place of a log.
        ImportNotAllowed: the settings name places, and not this one.
        CopilotError: it cannot be had, is larger than an upload may be, or takes too long.
    """
    url, application, attempt = _named(address)
    settings = _trusting(settings, url)
    source, name = asked(settings, url, application, attempt)
    home = settings.home / "fetched"
    home.mkdir(parents=True, exist_ok=True)  # not the machine's folder for small files: a log may be larger than what fits there
    with TemporaryDirectory(dir=home) as folder:
        part = Path(folder) / safe_name(name)
        with reading(name, "fetching") as heard:
            fetch(
                settings,
                source,
                part,
                settings.max_upload_bytes,
                lambda taken, _: heard(taken) if heard is not None else None,
                lambda: False,
            )
        yield part


def _trusting(settings: Settings, url: str) -> Settings:
    """Whoever runs a command names the address, so it needs no list; one that is set holds here too. Only a server takes addresses from others."""
    if settings.import_from:
        return settings
    where = place(url)
    port = f":{where.port}" if where.port is not None else ""
    return settings.model_copy(update={"import_from": f"{where.scheme}://{where.host}{port}", "import_networks": "0.0.0.0/0,::/0"})


def _named(address: str) -> tuple[str, str | None, str | None]:
    """Place, application and attempt, the latter two on a History Server."""
    if not address.lower().startswith(("http://", "https://")):
        return _HADOOP.sub("s3", address, count=1), None, None
    found = next((found for pattern in _APPLICATIONS if (found := pattern.match(address))), None)
    if found is None:
        raise BadSource(
            "the address names no application", hint="https://HISTORY-SERVER/history/ID, as its pages have it, or ID with --history-server"
        )
    return found["server"], found["id"], found["attempt"]
