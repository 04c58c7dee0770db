"""Resumable uploads: tus 1.0 with creation, creation-with-upload, expiration, checksum and termination, under `/api/v1/uploads`."""

import asyncio
import base64
import binascii
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from spark_copilot.app.api.caller import CallerDep
from spark_copilot.app.api.errors import problem, problems
from spark_copilot.app.api.receive import MAX_NAME, PIECE_BYTES, Received, UploadBroken, UploadIdle, body, storage_full
from spark_copilot.app.api.run_resource import PREFIX, accept, location
from spark_copilot.app.files import sync_folder
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import BadInput, Conflict, LimitExceeded, NotAnEventLog
from spark_copilot.storage.models import Upload
from spark_copilot.storage.upload_repository import WrongOffset

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256", "md5")
CHUNK = "application/offset+octet-stream"
MAX_CHECKED_BYTES = 64 << 20
"""A chunk with a checksum is held back until it is known to be right; larger ones come without."""


def _header(name: str, sentence: str, kind: str = "string", *, required: bool = False, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": sentence, "schema": {"type": kind, **schema}}


_SPOKEN = _header("Tus-Resumable", f"Version of the protocol; {VERSION} where it is missing.", enum=[VERSION])
_LENGTH = _header("Upload-Length", "Bytes of the whole log.", "integer", required=True, minimum=1)
_META = _header("Upload-Metadata", "Pairs of a key and a base64 value, with commas; `filename` is what the log is called.")
_OFFSET = _header("Upload-Offset", "Bytes that the server has: where this chunk begins.", "integer", required=True, minimum=0)
_CHECKSUM = _header("Upload-Checksum", f"Algorithm ({', '.join(ALGORITHMS)}) and base64 digest of the chunk.")
_BODY = {"content": {CHUNK: {"schema": {"type": "string", "format": "binary"}}}}


def _said(*names: str) -> dict[str, Any]:
    """Headers of an answer, for the documentation."""
    kinds = {"Upload-Offset": "integer", "Upload-Length": "integer", "Tus-Max-Size": "integer"}
    return {"headers": {name: {"schema": {"type": kinds.get(name, "string")}} for name in ("Tus-Resumable", *names)}}


class UploadBusy(Conflict):
    """Another request writes to this upload."""

    code = "upload-busy"
    hint = "Wait for it to end, then ask for the offset."


def router(service: Service) -> APIRouter:
    """The upload noun."""
    api = APIRouter(prefix=f"{PREFIX}/uploads", tags=["uploads"])
    busy = _Busy()
    common = {"Tus-Resumable": VERSION}

    def head_of(upload: Upload) -> dict[str, str]:
        found = {**common, "Upload-Offset": str(upload.received), "Upload-Length": str(upload.length), "Cache-Control": "no-store"}
        if upload.meta:
            found["Upload-Metadata"] = upload.meta
        if upload.run_id is not None:
            found["Content-Location"] = location(upload.run_id)
        else:
            found["Upload-Expires"] = formatdate(upload.expires_ms / 1000, usegmt=True)
        return found

    @api.options(
        "",
        status_code=204,
        summary="What the server supports",
        responses={204: _said("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm")},
    )
    def options() -> Response:
        """Version, extensions and the largest upload."""
        limits = {"Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": str(service.settings.max_upload_bytes)}
        return Response(status_code=204, headers={**common, **limits, "Tus-Checksum-Algorithm": ",".join(ALGORITHMS)})

    @api.post(
        "",
        status_code=201,
        summary="Begin an upload",
        response_class=Response,
        openapi_extra={
            "parameters": [_SPOKEN, _LENGTH, _META, _CHECKSUM],
            "requestBody": {**_BODY, "description": "The first chunk, or nothing."},
        },
        responses={
            201: _said("Location", "Upload-Offset", "Upload-Length", "Upload-Expires", "Content-Location"),
            **problems(400, 408, 409, 412, 413, 422, 460, 503, 507),
        },
    )
    async def create(request: Request, who: CallerDep) -> Response:
        """`Upload-Length` says how long the log is, `Upload-Metadata` may hold its `filename`; the body may be its first chunk."""
        if (wrong := _version(request)) is not None:
            return wrong
        length = _number(request, "upload-length")
        if length > service.settings.max_upload_bytes:
            raise LimitExceeded(f"the log is larger than {service.settings.max_upload_bytes} bytes")
        if not length:
            raise NotAnEventLog("the upload", "it is empty")
        await run_in_threadpool(request.app.state.access.admit, who.tenant, length)
        meta = request.headers.get("upload-metadata", "")[:4_000]
        upload = await run_in_threadpool(_begin, service, who.tenant, length, meta)
        if request.headers.get("content-type") == CHUNK:
            with busy.only(who.tenant, upload.id):
                try:
                    upload = await _append(service, request, who.tenant, upload)
                except _ChecksumMismatch:
                    return _mismatch()
        return Response(status_code=201, headers={**head_of(upload), "Location": f"{PREFIX}/uploads/{upload.id}"})

    @api.head(
        "/{upload_id}",
        summary="How much has been received",
        response_class=Response,
        openapi_extra={"parameters": [_SPOKEN]},
        responses={
            200: _said("Upload-Offset", "Upload-Length", "Upload-Metadata", "Upload-Expires", "Content-Location"),
            **problems(404, 410, 412, 503),
        },
    )
    def state(request: Request, who: CallerDep, upload_id: str) -> Response:
        """`Upload-Offset`: the bytes that are safely on disk. Once all are, `Content-Location` is the run."""
        if (wrong := _version(request)) is not None:
            return wrong
        return Response(headers=head_of(service.uploads.get(who.tenant, upload_id)))

    @api.patch(
        "/{upload_id}",
        status_code=204,
        summary="Send a chunk",
        openapi_extra={"parameters": [_SPOKEN, _OFFSET, _CHECKSUM], "requestBody": {**_BODY, "required": True}},
        responses={
            204: _said("Upload-Offset", "Upload-Length", "Upload-Expires", "Content-Location"),
            **problems(400, 404, 408, 409, 410, 412, 413, 415, 422, 460, 503, 507),
        },
    )
    async def chunk(request: Request, who: CallerDep, upload_id: str) -> Response:
        """The bytes from `Upload-Offset` on. The last chunk makes the run, whose address is in `Content-Location`."""
        if (wrong := _version(request)) is not None:
            return wrong
        if request.headers.get("content-type") != CHUNK:
            return problem(415, "wrong content type", f"a chunk is {CHUNK}", "content-type-wrong")
        offset = _number(request, "upload-offset")
        with busy.only(who.tenant, upload_id):
            upload = await run_in_threadpool(service.uploads.get, who.tenant, upload_id)
            if offset != upload.received:
                raise WrongOffset(f"the upload has {upload.received} bytes, the chunk begins at {offset}")
            try:
                upload = await _append(service, request, who.tenant, upload)
            except _ChecksumMismatch:
                return _mismatch()
        return Response(status_code=204, headers=head_of(upload))

    @api.delete(
        "/{upload_id}",
        status_code=204,
        summary="Give an upload up",
        openapi_extra={"parameters": [_SPOKEN]},
        responses={204: _said(), **problems(404, 409, 410, 412, 503)},
    )
    def terminate(request: Request, who: CallerDep, upload_id: str) -> Response:
        """Forget what was received. A run that was made of it stays."""
        if (wrong := _version(request)) is not None:
            return wrong
        with busy.only(who.tenant, upload_id):
            upload = service.uploads.get(who.tenant, upload_id)
            service.uploads.forget(who.tenant, upload.id)
            if upload.run_id is None:
                service.files.remove(upload.file)
        return Response(status_code=204, headers=common)

    return api


class _ChecksumMismatch(Exception):
    pass


class _Busy:
    """Uploads that a request of this process writes to. Other processes are told by the offset, which each write must find as it was."""

    def __init__(self) -> None:
        self._ids: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    @contextmanager
    def only(self, tenant: str, upload_id: str) -> Iterator[None]:
        # By tenant: who names an upload of somebody else must neither hold it up nor learn that it is there.
        key = (tenant, upload_id)
        with self._lock:
            if key in self._ids:
                raise UploadBusy("another request writes to this upload")
            self._ids.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._ids.discard(key)


def _begin(service: Service, tenant: str, length: int, meta: str) -> Upload:
    path = service.files.new_upload().with_suffix("")
    path.touch()
    sync_folder(path.parent)
    lives_ms = service.settings.upload_expires_seconds * 1000
    return service.uploads.add(tenant, length=length, file=service.files.kept(path), filename=_filename(meta), meta=meta, lives_ms=lives_ms)


async def _append(service: Service, request: Request, tenant: str, upload: Upload) -> Upload:
    """Write the request's body at the end of the upload; what came in before the client left is kept, unless it has a checksum."""
    path = service.files.path(upload.file)
    checksum = _checksum(request)
    room = upload.length - upload.received
    declared = request.headers.get("content-length", "")
    if (declared.isdigit() and int(declared) > room) or upload.run_id is not None:
        raise LimitExceeded(f"the chunk goes beyond the {upload.length} bytes that were announced")
    left: BadInput | None = None
    held = bytearray()
    position = upload.received
    try:
        try:
            async for piece in body(request, service.settings.upload_idle_seconds):
                room -= len(piece)
                if room < 0:
                    raise LimitExceeded(f"the chunk goes beyond the {upload.length} bytes that were announced")
                held += piece
                if checksum is None and len(held) >= PIECE_BYTES:
                    await run_in_threadpool(_write_at, path, position, bytes(held))
                    position += len(held)
                    held.clear()
                elif checksum is not None and len(held) > MAX_CHECKED_BYTES:
                    raise LimitExceeded(f"a chunk with a checksum has at most {MAX_CHECKED_BYTES} bytes")
        except (UploadBroken, UploadIdle) as error:
            if checksum is not None:
                raise
            left = error
        if checksum is not None and hashlib.new(checksum[0], held, usedforsecurity=False).digest() != checksum[1]:
            raise _ChecksumMismatch
        # A client that leaves cancels its request: what was received is written down all the same.
        upload = await asyncio.shield(run_in_threadpool(_settle, service, tenant, upload, path, position, bytes(held)))
    except OSError as error:
        raise storage_full(error) or error from error
    if left is not None:
        raise left
    return upload


def _settle(service: Service, tenant: str, upload: Upload, path: Path, position: int, rest: bytes) -> Upload:
    """Sync what was written, then say so in the row; the last byte makes the run, in one transaction with the row."""
    _write_at(path, position, rest, sync=True)
    received = position + len(rest)
    if received < upload.length:
        return service.uploads.advance(upload, received)
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(PIECE_BYTES):
            digest.update(block)
    whole = Received(path, received, digest.hexdigest(), upload.filename)
    run = accept(service, tenant, whole, None, upload=(upload.id, upload.received))
    upload.received, upload.run_id = received, run.id
    return upload


def _write_at(path: Path, position: int, block: bytes, *, sync: bool = False) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        view = memoryview(block)
        while view:
            written = os.pwrite(handle, view, position)
            position += written
            view = view[written:]
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def _mismatch() -> Response:
    return problem(460, "checksum mismatch", "the chunk is not what its checksum says; it was dropped", "checksum-mismatch")


def _version(request: Request) -> Response | None:
    if request.headers.get("tus-resumable", VERSION) == VERSION:
        return None
    answer = problem(412, "unknown protocol version", f"this server speaks tus {VERSION}", "tus-version-unknown")
    answer.headers["Tus-Version"] = VERSION
    return answer


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadInput(f"{header.title()} is missing or no number")
    return int(text)


def _checksum(request: Request) -> tuple[str, bytes] | None:
    header = request.headers.get("upload-checksum")
    if header is None:
        return None
    name, _, value = header.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if name not in ALGORITHMS or not digest:
        raise BadInput("Upload-Checksum names no algorithm of this server", hint=f"known: {', '.join(ALGORITHMS)}")
    return name, digest


def _filename(meta: str) -> str | None:
    for pair in meta.split(","):
        key, _, value = pair.strip().partition(" ")
        if key in ("filename", "name"):
            try:
                return base64.b64decode(value, validate=True).decode("utf-8", errors="replace")[:MAX_NAME] or None
            except (binascii.Error, ValueError):
                return None
    return None
