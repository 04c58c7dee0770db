"""Bytes of a log, whatever it is packed in: the kind is told by the first bytes, not by the name."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

from spark_copilot.connectors.eventlog.spark_codecs import CODECS, BrokenBlock
from spark_copilot.rules_engine.errors import LimitExceeded, NotFound

BLOCK_BYTES = 1 << 18
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What protects the machine from a hostile log. Real logs stay far below each."""

    max_bytes: int = 200 << 30  # after decompression
    max_ratio: int = 200  # decompressed / packed, asked once `ratio_from_bytes` have come out; task ends reach about 20
    ratio_from_bytes: int = 64 << 20
    max_line_bytes: int = 64 << 20
    max_window_log: int = 27  # zstd frames may ask for more memory than this (128 MiB)
    max_members: int = 10_000  # entries of an archive


class Cut(Exception):
    """The packed stream ends or breaks in the middle; what came out before it counts."""


class Readable(Protocol):
    """What is needed of a file here."""

    def read(self, size: int = -1, /) -> bytes:
        """At most this many bytes; none at the end."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Counted(io.RawIOBase):
    """A file that counts the packed bytes taken from it; bytes that were looked at come first (standard input cannot seek)."""

    def __init__(self, inner: Readable, limit: int | None = None) -> None:
        self.inner, self.left = inner, limit
        self.taken = 0
        self.ahead = b""

    def readable(self) -> bool:
        """True."""
        return True

    def peek(self, size: int) -> bytes:
        """The first bytes, left in place."""
        self.ahead = self.inner.read(size)
        return self.ahead

    def read(self, size: int = -1) -> bytes:
        """The next bytes, never beyond the length that the file had when it was opened."""
        if self.left is not None:
            size = self.left if size < 0 else min(size, self.left)
        if self.ahead:
            size = len(self.ahead) if size < 0 else size
            data, self.ahead = self.ahead[:size], self.ahead[size:]
        else:
            data = self.inner.read(size) if size else b""
        self.taken += len(data)
        if self.left is not None:
            self.left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """`read` into a buffer."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file below too."""
        if not self.closed:
            self.inner.close()
        super().close()


class Snapshot(Counted):
    """A file as long as it is now: a log that grows while it is read is read to where it was.

    Raises:
        NotFound: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        try:
            regular = path.is_file()
            size = path.stat().st_size
            super().__init__(path.open("rb", buffering=0 if regular else BLOCK_BYTES), size if regular else None)
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from error


class ZipMember(Counted):
    """One entry of an archive; its own packing is counted against the ratio here, sizes in its header are not believed."""

    def __init__(self, path: Path, name: str, limits: ReadLimits) -> None:
        self.archive = zipfile.ZipFile(path)
        self.packed = max(self.archive.getinfo(name).compress_size, 1)
        self.limits, self.label = limits, name
        try:
            super().__init__(self.archive.open(name))
        except _ZIP_FAULTS as error:  # its own header does not fit the directory's
            self.archive.close()
            raise Cut(str(error)) from error

    def peek(self, size: int) -> bytes:
        """The first bytes, left in place."""
        try:
            return super().peek(size)
        except _ZIP_FAULTS as error:
            raise Cut(str(error)) from error

    def read(self, size: int = -1) -> bytes:
        """The next unpacked bytes of the entry."""
        try:
            data = super().read(size)
        except _ZIP_FAULTS as error:
            raise Cut(str(error)) from error
        _check(self.label, self.taken, self.packed, self.limits)
        return data

    def close(self) -> None:
        """Close the archive too."""
        super().close()
        self.archive.close()


def open_stdin() -> BinaryIO:
    """Standard input, which stays open."""
    return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), BLOCK_BYTES)


def _check(name: str, out: int, taken: int, limits: ReadLimits) -> None:
    if out > limits.max_bytes or (out > limits.ratio_from_bytes and out > taken * limits.max_ratio):
        raise LimitExceeded(f"{name}: {out:,} bytes come out of {taken:,}: no event log packs so well or is so large")


def blocks(name: str, handle: Readable, limits: ReadLimits, progress: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Decompressed blocks of an open file, which is closed at the end. `progress` is told the packed bytes read so far.

    Raises:
        Cut: the stream broke off; all whole data before it has been yielded.
        LimitExceeded: a bomb.
    """
    counted = handle if isinstance(handle, Counted) else Counted(handle)
    try:
        out = 0
        for block in _unpack(counted.peek(16), counted, limits):
            out += len(block)
            _check(name, out, counted.taken, limits)
            if progress is not None:
                progress(counted.taken)
            yield block
    finally:
        counted.close()


def _unpack(head: bytes, counted: Counted, limits: ReadLimits) -> Iterator[bytes]:
    if head.startswith(b"\x28\xb5\x2f\xfd") or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        yield from _zstd(counted, limits)
    elif head.startswith(b"\x1f\x8b"):
        yield from _pull(gzip.GzipFile(fileobj=counted, mode="rb"))
    elif head.startswith(b"BZh"):
        yield from _pull(bz2.BZ2File(counted))
    elif (codec := next((read for magic, read in CODECS.items() if head.startswith(magic)), None)) is not None:
        try:
            yield from codec(counted)
        except BrokenBlock as error:
            raise Cut(str(error)) from error
    else:
        while block := counted.read(BLOCK_BYTES):
            yield block


def _zstd(counted: Counted, limits: ReadLimits) -> Iterator[bytes]:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: limits.max_window_log}
    try:
        yield from _pull(zstd.ZstdFile(counted, options=options))
    except Cut as error:
        if "memory" in str(error):
            raise LimitExceeded(f"a zstd frame asks for a window of more than {1 << limits.max_window_log:,} bytes") from error
        raise


def _pull(stream: Any) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read1(BLOCK_BYTES)
        except (EOFError, OSError, ValueError, zlib.error, zstd.ZstdError) as error:
            raise Cut(str(error)) from error
        if not block:
            return
        yield block
