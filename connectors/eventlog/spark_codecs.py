"""Spark's own block framings of lz4, snappy and lzf: none of them is the codec's standard frame."""

from collections.abc import Callable, Iterator
from typing import Protocol

import cramjam

MAX_BLOCK_BYTES = 64 << 20
"""Spark's blocks are 32 to 64 KiB; a length beyond this is a lie."""


class BrokenBlock(Exception):
    """A block that ends early or does not unpack."""


class _File(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def _exactly(stream: _File, size: int) -> bytes:
    data = stream.read(size)
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    if len(data) < size:
        raise BrokenBlock("a block ends early")
    return data


def _header(stream: _File, size: int) -> bytes:
    """A block's header, empty at a clean end."""
    first = stream.read(1)
    return first + _exactly(stream, size - 1) if first else b""


def _checked(size: int) -> int:
    if not 0 <= size <= MAX_BLOCK_BYTES:
        raise BrokenBlock(f"a block claims {size:,} bytes")
    return size


def lz4(stream: _File) -> Iterator[bytes]:
    """LZ4BlockOutputStream: magic, token, packed and raw length, checksum (little endian). An empty block ends a stream; another may follow."""
    while head := _header(stream, 21):
        if not head.startswith(b"LZ4Block"):
            raise BrokenBlock("no block where one should begin")
        packed = _checked(int.from_bytes(head[9:13], "little"))
        raw = _checked(int.from_bytes(head[13:17], "little"))
        if not raw:
            continue
        data = _exactly(stream, packed)
        yield data if head[8] & 0xF0 == 0x10 else _unpacked(lambda data=data, raw=raw: cramjam.lz4.decompress_block(data, output_len=raw))  # type: ignore[misc]


def snappy(stream: _File) -> Iterator[bytes]:
    """SnappyOutputStream: a 16-byte header, then blocks of a big-endian length and raw snappy."""
    while head := _header(stream, 4):
        if head == b"\x82SNA":
            _exactly(stream, 12)
            continue
        data = _exactly(stream, _checked(int.from_bytes(head, "big")))
        size, shift = 0, 0
        for byte in data[:5]:  # the raw length in front, seven bits a byte: asked before memory is given
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        _checked(size)
        yield _unpacked(lambda data=data: cramjam.snappy.decompress_raw(data))  # type: ignore[misc]


def lzf(stream: _File) -> Iterator[bytes]:
    """LZFOutputStream: "ZV", type, packed length; type 1 adds the raw length."""
    while head := _header(stream, 5):
        if not head.startswith(b"ZV") or head[2] > 1:
            raise BrokenBlock("no block where one should begin")
        size = int.from_bytes(head[3:5], "big")
        if head[2] == 0:
            yield _exactly(stream, size)
        else:
            raw = int.from_bytes(_exactly(stream, 2), "big")
            yield _lzf_block(_exactly(stream, size), raw)


def _lzf_block(data: bytes, raw: int) -> bytes:
    out = bytearray()
    at, end = 0, len(data)
    try:
        while at < end:
            control = data[at]
            at += 1
            if control < 32:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[at]
                at += 1
            back = ((control & 31) << 8) + data[at] + 1
            at += 1
            length += 2
            start = len(out) - back
            if start < 0:
                raise BrokenBlock("a block refers to before its start")
            if back >= length:
                out += out[start : start + length]
            else:  # the copy overlaps what it writes
                pattern = out[start:]
                out += (pattern * (length // back + 1))[:length]
    except IndexError:
        raise BrokenBlock("a block ends early") from None
    if len(out) != raw:
        raise BrokenBlock("a block does not unpack to its length")
    return bytes(out)


def _unpacked(work: Callable[[], object]) -> bytes:
    try:
        return bytes(work())  # type: ignore[call-overload, no-any-return]
    except Exception as error:
        raise BrokenBlock(f"a block does not unpack ({error})") from error


CODECS: dict[bytes, Callable[[_File], Iterator[bytes]]] = {b"LZ4Block": lz4, b"\x82SNAPPY\x00": snappy, b"ZV\x00": lzf, b"ZV\x01": lzf}
"""First bytes -> reader."""
