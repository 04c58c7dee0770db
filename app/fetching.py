"""Logs that are fetched from elsewhere, by the worker or a command: what may be asked for, and how one is brought home."""

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_copilot.app.config import Settings
from spark_copilot.connectors import history_server, object_store
from spark_copilot.connectors.remote import Allowed, BadSource, Place, place
from spark_copilot.rules_engine.errors import CopilotError, LimitExceeded, NotAnEventLog

STOP_LOOK_SECONDS = 0.2
_BLOCK = 1 << 20


class FetchTooSlow(CopilotError):
    """It took longer than it may."""

    code = "source-too-slow"
    hint = "SPARK_COPILOT_IMPORT_SECONDS is how long fetching a log may take."


class FetchStopped(Exception):
    """The run was cancelled, or the worker is stopping."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A log on disk."""

    part: Path
    size: int
    sha256: str


def asked(settings: Settings, url: str, application: str | None, attempt: str | None) -> tuple[dict[str, Any], str]:
    """A request as it is kept with its run, and what messages call the log.

    Raises:
        BadSource: no place of a log.
        ImportNotAllowed: the settings do not name it.
        Unavailable: what fetches from there is not installed.
    """
    where = place(url)
    source: dict[str, Any] = {"url": where.text}
    if where.is_store:
        if application is not None or attempt is not None:
            raise BadSource("an application is named to a History Server, not in an object store")
        if not where.key:
            raise BadSource("the address names a bucket and no log in it")
        name = where.name
    else:
        if application is None:
            raise BadSource("a History Server is asked for an application", hint='{"url": "https://history:18080", "application": "app-…"}')
        history_server.logs_path(where, application, attempt)
        source |= {"application": application, **({"attempt": attempt} if attempt is not None else {})}
        name = f"{application}.zip"
    allowed_of(settings).check(where)
    if where.is_store:
        object_store.client("store")
    return source, name


def fetch(
    settings: Settings,
    source: dict[str, Any],
    part: Path,
    limit_bytes: int,
    told: Callable[[int, int | None], None],
    stop: Callable[[], bool],
) -> Fetched:
    """The log in a new file, synced, or an error and no file.

    `told` (bytes taken, bytes there are) hears of each piece; `stop` is asked whether to go on.

    Raises:
        CopilotError: as the connectors say it; LimitExceeded, NotAnEventLog, FetchTooSlow.
        FetchStopped: `stop` said so.
        OSError: the disk.
    """
    until = time.monotonic() + settings.import_seconds

    def heard(taken: int, whole: int | None) -> None:
        if stop():
            raise FetchStopped
        if time.monotonic() > until:
            raise FetchTooSlow("fetching the log took longer than it may")
        told(taken, whole)

    try:
        where = place(source["url"])
        allowed = allowed_of(settings)
        allowed.check(where)  # the settings may be others than when it was asked
        if where.is_store:
            object_store.fetch(
                where, part, limit_bytes=limit_bytes, idle_seconds=settings.upload_idle_seconds, total_seconds=settings.import_seconds, told=heard
            )  # fmt: skip
        else:
            path = history_server.logs_path(where, source["application"], source.get("attempt"))
            asyncio.run(_stoppable(_history(settings, where, path, allowed, part, limit_bytes, heard), settings.import_seconds, stop))
        return _settled(part, where)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def allowed_of(settings: Settings) -> Allowed:
    """Where the settings let logs come from.

    Raises:
        UsageError: they cannot be read.
    """
    return Allowed.of(settings.import_from, settings.import_networks)


async def _history(
    settings: Settings, where: Place, path: str, allowed: Allowed, part: Path, limit_bytes: int, heard: Callable[[int, int | None], None]
) -> None:
    token = settings.history_server_token.get_secret_value() if settings.history_server_token is not None else None
    with part.open("xb") as out:
        async with history_server.logs(where, path, allowed, token=token, idle_seconds=settings.upload_idle_seconds) as (whole, pieces):
            taken = 0
            async for piece in pieces:
                taken += len(piece)
                if max(taken, whole or 0) > limit_bytes:
                    raise LimitExceeded(f"the log is larger than the {limit_bytes} bytes that may be fetched")
                out.write(piece)
                heard(taken, whole)


async def _stoppable(work: Any, seconds: float, stop: Callable[[], bool]) -> None:
    """Also while the other side says nothing."""
    task = asyncio.ensure_future(work)
    until = time.monotonic() + seconds
    while not task.done():
        await asyncio.wait({task}, timeout=STOP_LOOK_SECONDS)
        if task.done():
            break
        if (stopped := stop()) or time.monotonic() > until:
            task.cancel()
            await asyncio.wait({task}, timeout=STOP_LOOK_SECONDS * 10)
            if stopped:
                raise FetchStopped
            raise FetchTooSlow("fetching the log took longer than it may")
    task.result()


def _settled(part: Path, where: Place) -> Fetched:
    digest, size = hashlib.sha256(), 0
    with part.open("rb") as handle:
        os.fsync(handle.fileno())
        while block := handle.read(_BLOCK):
            digest.update(block)
            size += len(block)
    if not size:
        raise NotAnEventLog(where.name or where.host, "it is empty")
    return Fetched(part, size, digest.hexdigest())
