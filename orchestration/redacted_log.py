"""A copy of an event log without its secrets: the only form in which an uploaded log is kept."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from spark_copilot.connectors.eventlog import ReadLimits, raw_lines
from spark_copilot.rules_engine.redact import Redactor, map_texts

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

UNREAD = b'{"Event":"\n'
"""Stands for a line that cannot be read and so cannot be redacted; it counts as a bad line, as the line itself did."""


def write_redacted(log: Path, out: Path, limits: ReadLimits | None = None) -> int:
    """Write the first log under a path as compressed JSON lines with every secret masked; the number of lines.

    What one line shows to be a secret is masked in the lines before it as well, so the log is read twice.

    Raises:
        NotFound: no such log.
        BadInput: it is no event log.
    """
    redactor = Redactor()
    for line in raw_lines(log, limits=limits):
        if (event := _decoded(line)) is not None:
            _masked(event, redactor)
    everywhere = redactor.learned_mask()
    count = 0
    with zstd.open(out, "wb") as target:
        for line in raw_lines(log, limits=limits):
            event = _decoded(line)
            target.write(UNREAD if event is None else orjson.dumps(map_texts(_masked(event, redactor), everywhere)) + b"\n")
            count += 1
    return count


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line.strip().removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None


def _masked(value: Any, redactor: Redactor) -> Any:
    """A decoded value with its secrets masked; the texts of an object are settings, whose keys tell of them."""
    if isinstance(value, str):
        return redactor.text(value)
    if isinstance(value, Mapping):
        return {
            redactor.text(key): redactor.setting(key, item) if isinstance(item, str) else _masked(item, redactor)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, redactor) for item in value]
    return value
