"""A log coming in: from the request's body to a file, piece by piece, hashed on the way and safely on disk before anybody is told so."""

import asyncio
import errno
import hashlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from spark_copilot.app.config import Settings
from spark_copilot.app.files import Files
from spark_copilot.rules_engine.errors import BadInput, LimitExceeded, NotAnEventLog, StorageFull

PIECE_BYTES = 2 << 20
WAITING_BYTES = 4 << 20
"""What one body may have in memory while the disk is at work on what came before; no more than this is given to it at once."""
SYNC_BYTES = 64 << 20
MAX_HELD = 4_096
"""Pieces, so that a client which sends a few bytes at a time takes no more memory than others."""
MAX_PARTS = 20
MAX_NAME = 1_000
_FILENAME = re.compile(r"filename\*?=(?:UTF-8'')?(?:\"((?:[^\"\\]|\\.){0,4000})\"|([^;]{0,4000}))", re.IGNORECASE)


class UploadIdle(BadInput):
    """The client stopped sending."""

    code = "upload-idle"
    hint = "Send it again; SPARK_COPILOT_UPLOAD_IDLE_SECONDS is how long the server waits."


class UploadBroken(BadInput):
    """The connection ended before the body did."""

    code = "upload-incomplete"
    hint = "Send it again."


class BadForm(BadInput):
    """A multipart form that cannot be read, or holds no file."""

    code = "form-not-readable"
    hint = "Send one part with a file name, or the log itself as the body."


@dataclass(frozen=True, slots=True)
class Received:
    """A body on disk. `filename` is what the client calls it."""

    part: Path
    size: int
    sha256: str
    filename: str | None


async def receive(request: Request, files: Files, settings: Settings) -> Received:
    """The body in a new file under the home folder, or an error and no file.

    Raises:
        LimitExceeded: larger than the limit, by its header or in fact.
        NotAnEventLog: it is empty.
        StorageFull: the disk is.
        UploadIdle, UploadBroken: the client went away.
        BadForm: a multipart form without a file.
    """
    form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    limit = min(settings.max_form_bytes, settings.max_upload_bytes) if form else settings.max_upload_bytes
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit + (1 << 16 if form else 0):  # a form has its own frame around the log
        raise _too_large(limit, form)
    part = files.new_upload()
    try:
        pieces = body(request, settings.upload_idle_seconds)
        with part.open("xb") as out:
            if form:
                reader = _Form(request.headers["content-type"])
                size, digest = await _write(reader.file(pieces), out, limit, form)
                filename = reader.filename
            else:
                size, digest = await _write(pieces, out, limit, form)
                filename = _name(request)
            if not size:
                raise NotAnEventLog("the request's body", "it is empty")
            await run_in_threadpool(_sync, out)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and (full := storage_full(error)) is not None:
            raise full from error
        raise
    return Received(part, size, digest, filename[:MAX_NAME] if filename else None)


async def body(request: Request, idle_seconds: float) -> AsyncIterator[bytes]:
    """The body's pieces; a client that stalls or leaves is an error."""
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(idle_seconds):
                piece = await anext(stream, None)
        except TimeoutError as error:
            raise UploadIdle(f"nothing was sent for {idle_seconds:g} s") from error
        except ClientDisconnect as error:
            raise UploadBroken("the connection ended before the body did") from error
        if piece is None:
            return
        if piece:
            yield piece


def storage_full(error: OSError) -> StorageFull | None:
    """The error as a client understands it, when it says that there is no room."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull("the server has no room for this log")
    return None


async def _write(pieces: AsyncIterator[bytes], out: BinaryIO, limit: int, form: bool) -> tuple[int, str]:
    """Hash and write in a thread what has come, while more comes: one piece at a time, larger ones where the disk is slower than the network.

    The disk is set to work on the way, in another thread: synced only at the end, a large log would wait for all of it there.
    """
    digest, size, unsynced = hashlib.sha256(), 0, 0
    held: list[bytes] = []  # joined nowhere: every copy of a large log costs as much as writing it
    waiting = 0
    writing: asyncio.Future[None] | None = None
    syncing: asyncio.Future[None] | None = None

    def flush(blocks: list[bytes]) -> None:
        for block in blocks:
            out.write(block)
            digest.update(block)

    try:
        async for piece in pieces:
            size += len(piece)
            if size > limit:
                raise _too_large(limit, form)
            held.append(piece)
            waiting += len(piece)
            if waiting >= PIECE_BYTES or len(held) >= MAX_HELD:
                if writing is not None:
                    if not writing.done() and waiting < WAITING_BYTES and len(held) < MAX_HELD:
                        continue
                    await writing
                writing = asyncio.ensure_future(run_in_threadpool(flush, held))
                unsynced += waiting
                held, waiting = [], 0
                if unsynced >= SYNC_BYTES and (syncing is None or syncing.done()):
                    unsynced = 0
                    if syncing is not None:
                        await syncing  # what it met, here
                    syncing = asyncio.ensure_future(run_in_threadpool(os.fdatasync, out.fileno()))
    finally:
        if under_way := [work for work in (writing, syncing) if work is not None]:
            await asyncio.wait(under_way)  # also when it ends in an error: the file is not closed under a thread
    for work in under_way:
        work.result()
    await run_in_threadpool(flush, held)
    return size, digest.hexdigest()


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def _too_large(limit: int, form: bool) -> LimitExceeded:
    if form:
        return LimitExceeded(f"the form is larger than {limit} bytes", hint="send the log itself as the body")
    return LimitExceeded(f"the log is larger than {limit} bytes", hint="SPARK_COPILOT_MAX_UPLOAD_BYTES raises the limit")


def _name(request: Request) -> str | None:
    """What the client calls the body: `?filename=`, else the Content-Disposition header."""
    if asked := request.query_params.get("filename"):
        return asked
    found = _FILENAME.search(request.headers.get("content-disposition", ""))
    return unquote(found[1] or found[2] or "").strip() or None if found else None


class _Form:
    """The first file of a multipart form, read as it comes; nothing is kept but that file's bytes."""

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary or len(boundary) > 200:
            raise BadForm("the form has no boundary")
        self.filename: str | None = None
        self._parts, self._taking, self._taken, self._ended = 0, False, False, False
        self._field, self._value, self._disposition = b"", b"", b""
        self._out = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._header,
                "on_headers_finished": self._headers,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._done,
            },
        )

    async def file(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes of the file."""
        try:
            async for piece in pieces:
                self._parser.write(piece)
                if self._out:
                    yield bytes(self._out)
                    self._out.clear()
            self._parser.finalize()
        except FormParserError as error:
            raise BadForm(f"the form cannot be read: {error}") from error
        if not self._ended:
            raise BadForm("the form cannot be read: its closing boundary is missing")
        if not self._taken:
            raise BadForm("the form holds no file")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise BadForm(f"the form has more than {MAX_PARTS} parts")
        self._disposition = b""

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._value) > 16_384:
            raise BadForm("a header of the form is too long")

    def _header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is not None and not self._taken:
            self._taking = self._taken = True
            self.filename = name.decode("utf-8", errors="replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._taking:
            self._out += data[start:end]

    def _end(self) -> None:
        self._taking = False

    def _done(self) -> None:
        self._ended = True
