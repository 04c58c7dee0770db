"""Bytes of a log, whatever it is packed in: the kind is told by the first bytes, not by the name."""

import gzip
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from spark_copilot.rules_engine.errors import LimitExceeded, NotFound

BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What protects the machine from a hostile log. Real logs stay far below each."""

    max_bytes: int = 200 << 30  # after decompression
    max_ratio: int = 200  # decompressed / packed, asked once `ratio_from_bytes` have come out; task ends reach about 20
    ratio_from_bytes: int = 64 << 20
    max_line_bytes: int = 64 << 20
    max_window_log: int = 27  # zstd frames may ask for more memory than this (128 MiB)
    max_members: int = 10_000  # entries of an archive


class Counted(io.RawIOBase):
    """A file that says how many packed bytes were taken from it."""

    def __init__(self, inner: io.RawIOBase) -> None:
        self.inner = inner
        self.taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self.inner.read(size) or b""
        self.taken += len(data)
        return data

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self.inner.read(len(buffer)) or b""
        buffer[: len(data)] = data
        self.taken += len(data)
        return len(data)


class Cut(Exception):
    """The packed stream ends or breaks in the middle; what came out before it counts."""


def blocks(path: Path, limits: ReadLimits, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Decompressed blocks of one file ("-" is standard input). `progress` is told the packed bytes read so far.

    Raises:
        Cut: the stream broke off; all whole data before it has been yielded.
        LimitExceeded: a bomb.
    """
    try:
        handle: BinaryIO = sys.stdin.buffer if str(path) == "-" else path.open("rb")
    except OSError as error:
        raise NotFound(f"{path}: {error.strerror}") from error
    with handle:
        head = handle.read(16)
        counted = Counted(_Joined(head, handle))
        out = 0
        for block in _unpack(head, counted, limits):
            out += len(block)
            if out > limits.max_bytes or (out > limits.ratio_from_bytes and out > counted.taken * limits.max_ratio):
                raise LimitExceeded(f"{path.name}: {out:,} bytes out of {counted.taken:,}: larger than a log of this size can be")
            if progress is not None:
                progress(counted.taken)
            yield block


class _Joined(io.RawIOBase):
    """The bytes that were looked at, then the rest: standard input cannot seek."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = head, rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self.head:
            data, self.head = self.head, b""
            return data if size < 0 or size > len(data) else self._split(data, size)
        return self.rest.read(size)

    def _split(self, data: bytes, size: int) -> bytes:
        self.head = data[size:]
        return data[:size]


def _unpack(head: bytes, counted: Counted, limits: ReadLimits) -> Iterator[bytes]:
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        yield from _pull(_zstd(counted, limits), (EOFError, zstd.ZstdError))
    elif head.startswith(b"\x1f\x8b"):
        yield from _pull(gzip.GzipFile(fileobj=counted), (EOFError, OSError, gzip.zlib.error))  # type: ignore[attr-defined, arg-type]
    else:
        while block := counted.read(BLOCK_BYTES):
            yield block


def _zstd(counted: Counted, limits: ReadLimits) -> BinaryIO:
    options = {zstd.DecompressionParameter.window_log_max: limits.max_window_log}
    return zstd.ZstdFile(counted, options=options)  # type: ignore[return-value, arg-type]


def _pull(stream: BinaryIO, broken: tuple[type[Exception], ...]) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read1(BLOCK_BYTES)  # type: ignore[attr-defined]
        except broken as error:
            raise Cut(str(error)) from error
        if not block:
            return
        yield block
