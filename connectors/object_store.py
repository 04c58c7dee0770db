"""Logs from S3, GCS and Azure, with the credentials and endpoints of this process's environment.

By the client's blocking calls: with its asynchronous ones a process may abort when it ends.
"""

import importlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from spark_copilot.connectors.remote import Place, SourceForbidden, SourceNotFound, SourceUnavailable
from spark_copilot.rules_engine.errors import LimitExceeded, Unavailable

INSTALL = 'pip install "spark-intelligence-copilot[cloud]"'
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "GOOGLE_BASE_URL")
PIECE_BYTES = 4 << 20
MAX_PARTS = 10_000
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of entries in an archive that is made here: the same parts are the same bytes, whenever they are fetched."""
_HIDDEN = re.compile(r"(^|/)(\.|_spark_metadata/)")


def client(module: str) -> Any:
    """A module of the client for object stores.

    Raises:
        Unavailable: it is not installed.
    """
    try:
        return importlib.import_module(f"obstore.{module}")
    except ModuleNotFoundError as error:
        raise Unavailable("the client for object stores is not installed", hint=INSTALL) from error


def fetch(
    place: Place, out: Path, *, limit_bytes: int, idle_seconds: float, total_seconds: float, told: Callable[[int, int | None], None]
) -> None:
    """The object into a file; a folder of a rolled log becomes an archive of its parts.

    `told` (bytes taken, bytes there are) is called after each piece; what it raises ends the fetching.

    Raises:
        Unavailable: the client is not installed.
        LimitExceeded: larger than the limit, or too many parts.
        SourceNotFound, SourceForbidden, SourceUnavailable: the store does not have it, does not give it, or does not answer.
    """
    faults = client("exceptions")
    missing, refused = (
        (faults.NotFoundError, FileNotFoundError),
        (faults.PermissionDeniedError, faults.UnauthenticatedError, PermissionError),
    )
    try:  # the client raises Python's own errors for some of its own; those of this machine's disk have a number
        store = _store(place, idle_seconds, total_seconds)
        try:
            found = store.get(place.key)
        except missing:
            _folder(store, place, out, limit_bytes, told)
            return
        size = int(found.meta["size"])
        _within(place, size, limit_bytes)
        with out.open("xb") as file:
            _copy(found.stream(min_chunk_size=PIECE_BYTES), file.write, place, limit_bytes, lambda taken: told(taken, size))
    except refused as error:
        raise SourceForbidden(f"{place.text}: the store refuses") from error
    except missing as error:
        raise SourceNotFound(f"{place.text}: there is no such bucket or object") from error
    except (faults.BaseError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of this machine's disk
        # The client's own message may name the request with its signature.
        raise SourceUnavailable(f"{place.text} cannot be read: {type(error).__name__}") from error


def _folder(store: Any, place: Place, out: Path, limit_bytes: int, told: Callable[[int, int | None], None]) -> None:
    prefix = place.key + "/"
    parts: list[tuple[str, int]] = []
    for page in _pages(store, prefix, place):
        parts += [(str(entry["path"]), int(entry["size"])) for entry in page if not _HIDDEN.search(str(entry["path"])[len(prefix) :])]
        if len(parts) > MAX_PARTS:
            raise LimitExceeded(f"{place.text} holds more than {MAX_PARTS:,} objects", hint="Name the folder of one log.")
    if not parts:
        raise SourceNotFound(f"{place.text}: there is no such object, and nothing below it")
    whole = sum(size for _, size in parts)
    _within(place, whole, limit_bytes)
    taken = 0
    with zipfile.ZipFile(out, "x", zipfile.ZIP_STORED) as archive:
        for path, _ in sorted(parts):
            entry = zipfile.ZipInfo(f"{place.name}/{path[len(prefix) :]}", _LONG_AGO)
            found = store.get(path)
            with archive.open(entry, "w", force_zip64=True) as file:
                stream = found.stream(min_chunk_size=PIECE_BYTES)
                taken += _copy(stream, file.write, place, limit_bytes - taken, lambda more, so_far=taken: told(so_far + more, whole))  # type: ignore[misc]


def _pages(store: Any, prefix: str, place: Place) -> Iterator[Any]:
    """The listing; the client has no error of its own for a bucket that is not there."""
    try:
        yield from store.list(prefix)
    except client("exceptions").GenericError as error:
        if "404 Not Found" not in str(error):
            raise
        raise SourceNotFound(f"{place.text}: there is no such bucket or object") from error


def _copy(stream: Iterator[Any], write: Callable[[bytes], Any], place: Place, room: int, told: Callable[[int], None]) -> int:
    taken = 0
    for piece in stream:
        block = bytes(piece)
        taken += len(block)
        _within(place, taken, room)
        write(block)
        told(taken)
    return taken


def _within(place: Place, size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise LimitExceeded(f"{place.text} is larger than the {limit_bytes} bytes that may be fetched")


def _store(place: Place, idle_seconds: float, total_seconds: float) -> Any:
    stores = client("store")
    kinds = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
    return kinds[place.scheme](
        place.host,
        client_options={
            "timeout": timedelta(seconds=total_seconds),
            "read_timeout": timedelta(seconds=idle_seconds),
            "connect_timeout": timedelta(seconds=10),
            # Options given here replace those of the environment, so this one is read from there.
            "allow_http": any(os.environ.get(name, "").startswith("http://") for name in ENDPOINTS),
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
    )
