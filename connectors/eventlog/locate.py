"""From a path to the parts that hold each application's events, in order. Of files only the first bytes are read, to know an archive."""

import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from spark_copilot.connectors.eventlog.decompress import Counted, ReadLimits, Snapshot, ZipMember, open_stdin
from spark_copilot.rules_engine.errors import LimitExceeded, NotAnEventLog, NotFound

STDIN = "-"
_PART = re.compile(r"events_(\d{1,9})_(.+)")
_DATABRICKS = re.compile(r"eventlog(-\d{4}-\d{2}-\d{2}--\d{2}-\d{2}(-\d+)?(-[0-9a-fA-F-]+)?)?(\.gz|\.zst|\.zstd)?")
_UNSAFE = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:|\x00")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of bytes: a file, standard input, or an entry of an archive."""

    name: str
    open: Callable[[], BinaryIO | Counted]


@dataclass(frozen=True, slots=True)
class Source:
    """The parts of one log, to be read one after another. `issues` is what the names alone already tell."""

    name: str
    parts: tuple[Part, ...]
    rolled: bool = False
    compacted: bool = False
    issues: tuple[str, ...] = ()


def locate(path: Path, limits: ReadLimits) -> Iterator[Source]:
    """The logs under a path: a file is one, a rolled directory is one, any other directory or an archive holds many.

    Raises:
        NotFound: no such path, or not to be read.
        LimitExceeded: an archive with more entries than the limits allow.
        NotAnEventLog: an archive that is broken or names places outside itself.
    """
    if str(path) == STDIN:
        yield Source(STDIN, (Part(STDIN, open_stdin),))
    elif path.is_dir():
        try:
            yield from _folder(path, limits)
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from error
    elif path.exists():
        yield from _file(path, limits)
    else:
        raise NotFound(f"{path}: no such file or directory")


def _folder(path: Path, limits: ReadLimits) -> Iterator[Source]:
    children = sorted(child for child in path.iterdir() if not child.name.startswith("."))
    whole = _grouped(path.name, [_part(child) for child in children if child.is_file()])
    if whole is not None:
        yield whole
        return
    for child in children:
        if child.is_dir():
            inner = _grouped(child.name, [_part(file) for file in sorted(child.iterdir()) if file.is_file()])
            if inner is not None:
                yield inner
        elif child.is_file() and not child.name.startswith("_"):
            try:
                yield from _file(child, limits)
            except (NotAnEventLog, LimitExceeded):
                continue  # one broken archive spoils nothing


def _part(path: Path) -> Part:
    return Part(path.name, lambda: Snapshot(path))


def _file(path: Path, limits: ReadLimits) -> Iterator[Source]:
    if path.is_file():
        with Snapshot(path) as handle:
            head = handle.read(4)
        if head == b"PK\x03\x04" or head == b"PK\x05\x06":
            yield from _archive(path, limits)
            return
    yield Source(path.name, (_part(path),))


def _archive(path: Path, limits: ReadLimits) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise NotAnEventLog(path.name, f"the archive is broken ({error})") from error
    if len(entries) > limits.max_members:
        raise LimitExceeded(f"{path.name}: {len(entries):,} entries in the archive; at most {limits.max_members:,} are read")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise NotAnEventLog(path.name, "two entries of the archive bear the same name")
    folders: dict[str, list[Part]] = {}
    for entry in entries:
        if _UNSAFE.search(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            raise NotAnEventLog(path.name, f"the archive names a place outside itself: {entry.filename[:80]!r}")
        if entry.flag_bits & 1:
            raise NotAnEventLog(path.name, "the archive is encrypted")
        folder, _, name = entry.filename.rpartition("/")
        if not name.startswith("."):
            folders.setdefault(folder, []).append(Part(name, lambda name=entry.filename: ZipMember(path, name, limits)))  # type: ignore[misc]
    for folder, parts in sorted(folders.items()):
        whole = _grouped(folder.rpartition("/")[2] or path.name, parts)
        if whole is not None:
            yield whole
        else:
            yield from (Source(part.name, (part,)) for part in parts)


def _grouped(name: str, parts: list[Part]) -> Source | None:
    return _rolled(name, parts) or _databricks(name, parts)


def _rolled(folder: str, files: list[Part]) -> Source | None:
    """A directory that Spark rolled: `events_<n>_<app>` parts in index order; parts before a `.compact` file are covered by it."""
    parts: dict[int, Part] = {}
    compact = -1
    for file in sorted(files, key=lambda part: part.name):
        if (match := _PART.fullmatch(file.name)) and not file.name.endswith(".compact.inprogress"):
            index = int(match[1])
            if file.name.endswith(".compact"):
                compact = max(compact, index)
                parts[index] = file
            else:
                parts.setdefault(index, file)
    if not parts:
        return None
    kept = sorted(index for index in parts if index >= compact)
    gaps = [(low + 1, high - 1) for low, high in zip([max(compact, 1) - 1, *kept], kept, strict=False) if high > low + 1]
    issues = [
        f"part {low} of the rolled log is missing" if low == high else f"parts {low} to {high} of the rolled log are missing"
        for low, high in gaps
    ]
    return Source(folder, tuple(parts[index] for index in kept), rolled=True, compacted=compact >= 0, issues=tuple(issues[:20]))


def _databricks(folder: str, files: list[Part]) -> Source | None:
    """A Databricks directory: dated `eventlog-…` parts, then the `eventlog` that was written last."""
    mine = [file for file in files if _DATABRICKS.fullmatch(file.name)]
    dated = sorted((file for file in mine if file.name.startswith("eventlog-")), key=lambda file: file.name)
    last = [file for file in mine if not file.name.startswith("eventlog-")]
    if not dated and not (len(last) == 1 and len(files) == 1):
        return None
    return Source(folder, (*dated, *last), rolled=True)
