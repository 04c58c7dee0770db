"""Chunks: the unit of retrieval. At most 900 characters with the path of headings above them; a table is one chunk a row."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

LIMIT = 900
"""Characters of a chunk's text. The encoder reads 256 tokens; more would be stored but never seen by it."""

_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_TABLE_RULE = re.compile(r"^\s*\|?\s*:?-{2,}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage. `owner` is the card, key or document it belongs to, `title` its heading path, `source` the page or file it comes from."""

    id: str
    owner: str
    kind: str
    title: str
    text: str
    source: str
    scope: tuple[str, ...] = ()

    @property
    def searchable(self) -> str:
        """What both lanes index: the heading path and the text."""
        return f"{self.title}\n{self.text}"

    @property
    def digest(self) -> str:
        """Content hash; vectors are kept by it."""
        return hashlib.sha256(self.searchable.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a document: the path of headings above it and its text."""

    path: tuple[str, ...]
    text: str


def _blocks(text: str) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """(heading path, block, is it a table) in order; code fences stay whole, their `#` lines are no headings."""
    path: list[tuple[int, str]] = []
    block: list[str] = []
    fenced = False

    def flush() -> Iterator[tuple[tuple[str, ...], str, bool]]:
        body = "\n".join(block).strip("\n")
        block.clear()
        if body.strip():
            table = body.lstrip().startswith("|") and body.count("\n") >= 2
            yield tuple(name for _, name in path), body, table

    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            block.append(line)
            continue
        heading = None if fenced else _HEADING.match(line)
        if heading is not None:
            yield from flush()
            level = len(heading[1])
            path[:] = [(deep, name) for deep, name in path if deep < level]
            path.append((level, heading[2].strip()))
        elif not fenced and not line.strip():
            yield from flush()
        else:
            block.append(line)
    yield from flush()


def _cut(text: str, limit: int) -> Iterator[str]:
    """The text in pieces within the limit, cut at line, sentence or word ends where there is one."""
    while len(text) > limit:
        window = text[:limit]
        at = max(window.rfind("\n"), window.rfind(". ") + 1)
        if at < limit // 3:
            at = window.rfind(" ")
        if at < limit // 3:
            at = limit
        yield text[:at].strip()
        text = text[at:].strip()
    if text:
        yield text


def _rows(table: str) -> Iterator[str]:
    lines = [line.strip().strip("|") for line in table.splitlines() if line.strip()]
    head = [cell.strip() for cell in lines[0].split("|")]
    for line in lines[1:]:
        if _TABLE_RULE.match(line):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        named = (f"{name}: {cell}" if name else cell for name, cell in zip(head, cells, strict=False) if cell)
        yield "; ".join(named)


def split_markdown(text: str, limit: int = LIMIT) -> list[Piece]:
    """Heading by heading, neighbours under one heading joined up to the limit; a table yields one piece a row."""
    pieces: list[Piece] = []
    pending: list[str] = []
    pending_path: tuple[str, ...] = ()

    def flush() -> None:
        if pending:
            pieces.extend(Piece(pending_path, part) for part in _cut("\n\n".join(pending), limit))
            pending.clear()

    for path, block, table in _blocks(text):
        if table:
            flush()
            pieces.extend(Piece(path, part) for row in _rows(block) for part in _cut(row, limit))
            continue
        if path != pending_path or sum(map(len, pending)) + len(block) + 2 * len(pending) > limit:
            flush()
            pending_path = path
        pending.append(block)
    flush()
    return pieces
