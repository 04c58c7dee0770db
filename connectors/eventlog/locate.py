"""From a path to the files that hold each application's events, in order. Nothing is opened here but directories."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spark_copilot.rules_engine.errors import NotFound

STDIN = "-"
_PART = re.compile(r"events_(\d{1,9})_(.+)")
_DATABRICKS = re.compile(r"eventlog(-\d{4}-\d{2}-\d{2}--\d{2}-\d{2}(-\d+)?(-[0-9a-fA-F-]+)?)?(\.gz|\.zst|\.zstd)?")


@dataclass(frozen=True, slots=True)
class Source:
    """The files of one log, to be read one after another. `issues` is what the names alone already tell."""

    name: str
    files: tuple[Path, ...]
    rolled: bool = False
    compacted: bool = False
    issues: tuple[str, ...] = ()


def locate(path: Path) -> Iterator[Source]:
    """The logs under a path: a file is one, a rolled directory is one, any other directory holds many.

    Raises:
        NotFound: no such path.
    """
    if str(path) == STDIN or path.is_file():
        yield Source(path.name, (path,))
    elif path.is_dir():
        found = rolled(path) or databricks(path)
        if found is not None:
            yield found
            return
        for child in sorted(path.iterdir()):
            if child.name.startswith((".", "_")):
                continue
            if child.is_dir():
                inner = rolled(child) or databricks(child)
                if inner is not None:
                    yield inner
            elif child.is_file():
                yield Source(child.name, (child,))
    elif path.exists():
        yield Source(path.name, (path,))  # a pipe
    else:
        raise NotFound(f"{path}: no such file or directory")


def rolled(folder: Path) -> Source | None:
    """A directory that Spark rolled: `events_<n>_<app>` parts in index order; parts before a `.compact` file are covered by it."""
    parts: dict[int, Path] = {}
    compact = -1
    for file in sorted(folder.iterdir()):
        if not file.name.startswith(".") and (match := _PART.fullmatch(file.name)) and not file.name.endswith(".compact.inprogress"):
            index = int(match[1])
            if file.name.endswith(".compact"):
                compact = max(compact, index)
                parts[index] = file
            else:
                parts.setdefault(index, file)
    if not parts:
        return None
    kept = sorted(index for index in parts if index >= compact)
    missing = sorted(set(range(max(compact, 1), kept[-1] + 1)) - set(kept))
    issues = tuple(f"part {index} of the rolled log is missing" for index in missing[:10])
    if len(missing) > 10:
        issues += (f"{len(missing) - 10} more parts of the rolled log are missing",)
    return Source(folder.name, tuple(parts[index] for index in kept), rolled=True, compacted=compact >= 0, issues=issues)


def databricks(folder: Path) -> Source | None:
    """A Databricks directory: dated `eventlog-…` parts, then the `eventlog` that was written last."""
    files = [file for file in folder.iterdir() if file.is_file() and _DATABRICKS.fullmatch(file.name)]
    if not any(file.name.startswith("eventlog-") for file in files) and [file.name for file in files] != ["eventlog"]:
        return None
    dated = sorted((file for file in files if file.name.startswith("eventlog-")), key=lambda file: file.name)
    last = [file for file in files if not file.name.startswith("eventlog-")]
    return Source(folder.name, (*dated, *last), rolled=True)
