"""A document on its way into the index: its text in Markdown, where it comes from, its passages. Secrets are masked here, at the door."""

import hashlib
import re
from dataclasses import dataclass

from spark_copilot.rag.chunks import Chunk, split_markdown
from spark_copilot.rag.retriever import scopes_in
from spark_copilot.rules_engine.errors import BadInput
from spark_copilot.rules_engine.redact import redact_text

MAX_BYTES = 64 * 2**20
"""Largest file that is read; a log beyond it is read up to there."""


class UnreadableDocument(BadInput):
    """A file that cannot be read as what its name says."""

    code = "document-not-readable"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source}: {reason}")


@dataclass(frozen=True, slots=True)
class Document:
    """One file (or one page made of it). `text` is Markdown; `source` is its path as the user named it, with `#part` where a file makes several."""

    source: str
    title: str
    text: str
    kind: str

    @property
    def digest(self) -> str:
        """Content hash: a document whose hash is in the index is not encoded again."""
        return hashlib.sha256(f"{self.kind}\n{self.title}\n{self.text}".encode()).hexdigest()

    def chunks(self) -> list[Chunk]:
        """Its passages, secrets masked, scopes taken from their words."""
        name = hashlib.sha256(self.source.encode()).hexdigest()[:12]
        made = []
        for number, piece in enumerate(split_markdown(redact_text(self.text))):
            title = " > ".join(dict.fromkeys((self.title, *piece.path)))[:200]
            made.append(
                Chunk(
                    f"{name}-{number}",
                    self.source,
                    self.kind,
                    title,
                    piece.text,
                    self.source,
                    tuple(sorted(scopes_in(f"{title} {piece.text}"))),
                )
            )
        return made


def read_text(path_name: str, data: bytes) -> str:
    """The bytes as text.

    Raises:
        UnreadableDocument: they are binary.
    """
    if b"\0" in data[:4096]:
        raise UnreadableDocument(path_name, "binary data, not text")
    return data[:MAX_BYTES].decode("utf-8", errors="replace").replace("\r\n", "\n")


_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_TITLE = re.compile(r"^(?:title|displayTitle):\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)
_JSX = re.compile(r"</?[A-Za-z][^<>\n]{0,300}>")
_IMPORT = re.compile(r"^(?:import|export) .+$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->|\{/\*.*?\*/\}|\{%.*?%\}|\{:[^}]*\}", re.DOTALL)


def clean_markdown(text: str, fallback: str) -> tuple[str, str]:
    """(title, text) of a Markdown or MDX page: front matter read and cut, imports, tags, comments and template marks removed outside code."""
    title = fallback
    front = _FRONT.match(text)
    if front is not None:
        named = _TITLE.search(front[1])
        title = named[1] if named else fallback
        text = text[front.end() :]
    parts = re.split(r"(^```.*?^```[^\n]*$)", text, flags=re.MULTILINE | re.DOTALL)
    for at in range(0, len(parts), 2):
        parts[at] = _JSX.sub("", _IMPORT.sub("", _COMMENT.sub("", parts[at])))
    text = "".join(parts)
    heading = re.search(r"^#\s+(.+)$", text, re.MULTILINE)
    if title == fallback and heading is not None:
        title = heading[1].strip()
    return title, text
