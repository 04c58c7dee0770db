"""spark-defaults.conf and other properties files, by the rules of java.util.Properties, with the line of every entry."""

import re
from collections.abc import Iterator

from spark_copilot.connectors.settings_files.base import Collector, Reader
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_NAME = re.compile(
    r"(?:^|/)(?:[\w.\-]*spark[\w.\-]*\.conf(?:\.[\w\-]+)*|spark-defaults[\w.\-]*|[\w.\-]+\.properties(?:\.[\w\-]+)*|[\w.\-]+\.conf)\Z",
    re.IGNORECASE,
)
_SPARK_LINE = re.compile(r"^[ \t]*spark\.[\w.\-]+[ \t]*(?:[=:\s]|$)", re.MULTILINE)
_HOCON = re.compile(r"^\s*[\w.\"-]+\s*[{]\s*$|^\s*include\s+[\"f]", re.MULTILINE)
_ENTRY = re.compile(r"\s*(?P<key>(?:\\.|[^\s=:\\])+)(?P<sep>\s*[=:]\s*|\s+|\s*$)(?P<value>.*)\Z", re.DOTALL)


def matches(path: str, text: str) -> bool:
    """By name, and by at least one line that starts with a Spark key unless the name itself says so."""
    name = path.rsplit("/", 1)[-1].lower()
    if not _NAME.search(path) or _HOCON.search(text) or "log4j" in name or "metrics" in name:
        return False
    return name.startswith("spark-defaults") or _SPARK_LINE.search(text) is not None


def logical_lines(text: str) -> Iterator[tuple[int, str, bool]]:
    """(first line number, text with continuations joined, whether it was continued); comments and blank lines left out."""
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not pending:
            stripped = line.lstrip(" \t\f")
            if not stripped or stripped[0] in "#!":
                continue
            start, piece = number, stripped
        else:
            piece = line.lstrip(" \t\f")
        slashes = len(piece) - len(piece.rstrip("\\"))
        if slashes % 2:
            pending += piece[:-1]
            continue
        yield start, pending + piece, bool(pending)
        pending = ""
    if pending:
        yield start, pending, True


def unescape(text: str) -> str:
    """Escapes as Properties.load resolves them; an unknown one loses its backslash."""

    def one(match: re.Match[str]) -> str:
        body = match[1]
        if body[0] == "u" and len(body) == 5:
            return chr(int(body[1:], 16))
        return {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}.get(body, body)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text, flags=re.DOTALL)


def read(file: str, text: str) -> SettingsFile:
    """Every entry; in files that are not Spark's alone only the keys under spark."""
    out = Collector(file, "properties")
    collect(out, text)
    return out.done()


def collect(out: Collector, text: str, *, first_line: int = 1, scope: str = "", own: bool | None = None) -> None:
    """Add the entries of one properties text that starts at `first_line` of the file."""
    name = out.file.rsplit("/", 1)[-1].lower()
    entries = list(logical_lines(text))
    if own is None:
        spark_lines = sum(1 for _, line, _ in entries if line.startswith("spark."))
        own = ("spark" in name and ".properties" not in name) or spark_lines * 2 > len(entries)
    lines = text.split("\n")
    out.mark("properties-text", first_line, scope=scope)
    for number, line, _ in entries:
        match = _ENTRY.match(line)
        if match is None:
            continue
        key, raw = unescape(match["key"]), match["value"].strip()
        if not own and not key.startswith("spark."):
            continue
        value = unescape(raw).strip()
        at = first_line + number - 1
        column = lines[number - 1].find(match["key"]) + 1 or None
        broken = bool(re.search(r"\s#", value)) or (len(value) > 1 and value[0] == value[-1] and value[0] in "\"'") or "$" in value
        out.set(key, None if broken else value, at, Place.DEFAULTS, column=column, scope=scope, raw=value)
        if re.search(r"(?<!\\)(?:\\\\)*\\(?![u\\=:#! \n]|u[0-9a-fA-F]{4})[A-Za-z.$(\[]", raw) and not is_only_escape(raw):
            out.mark("backslash", at, value, scope=scope, column=column, key=key)


def is_only_escape(raw: str) -> bool:
    r"""Whether the value is nothing but escapes such as \t: a separator that is meant."""
    return re.fullmatch(r"(?:\\[tnrf])+", raw) is not None


READER = Reader("properties", matches, read)
