"""Which files the gate looks at, and their text. Bad bytes, huge files and loops of links end in a sentence, never in a traceback."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from spark_copilot.rules_engine.errors import NotFound

_SKIPPED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".tox",
        ".terraform",
        "target",
        "build",
        "dist",
        ".idea",
        ".eggs",
        "site-packages",
    ]
)
_ENDINGS = (
    ".py", ".ipynb", ".sql", ".hql", ".sparksql", ".scala", ".java", ".kt", ".sc", ".sh", ".bash", ".zsh", ".ksh", ".tf", ".json", ".jsonc",
    ".yml", ".yaml", ".conf", ".properties", ".template", ".j2", ".tmpl", ".tpl",
)  # fmt: skip
_LARGEST = 64 << 20


def discover(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Iterator[Path]:
    """Files named, and files of known endings below the folders named; links to folders are not followed.

    Raises:
        NotFound: none of the paths exists.
    """
    if not any(os.path.lexists(path) for path in paths):
        raise NotFound(f"no such file or folder: {', '.join(map(str, paths))}")
    seen: set[str] = set()
    for path in paths:
        for file in [path] if not path.is_dir() else _below(path):
            name = str(file)
            if name not in seen and not any(fnmatch(name, pattern) or fnmatch(file.name, pattern) for pattern in exclude):
                seen.add(name)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in _SKIPPED)
        for name in sorted(names):
            if name.lower().endswith(_ENDINGS) or "." not in name or name.startswith("spark-defaults"):
                yield Path(root, name)


def text_of(path: Path) -> tuple[str | None, str | None]:
    """(text, None), or (None, why not). A binary file has neither."""
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            return None, f"larger than {_LARGEST >> 20} MiB: not read"
        data = path.read_bytes()
    except OSError as error:
        return None, f"cannot be read: {error.strerror or error}"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace").replace("\r\n", "\n"), None
    if b"\0" in data[:8192]:
        return None, None
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace").replace("\r\n", "\n"), None


_PACKED = (".zstd", ".zst", ".lz4", ".snappy", ".lzf", ".gz", ".inprogress", ".zip")


def looks_like_event_log(path: Path) -> bool:
    """Whether a path holds a run of Spark, told by its content; a rolled log by its folder."""
    if path.is_dir():
        return path.name.startswith("eventlog_v2_") or any(path.glob("events_*"))
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError:
        return False
    return b'"Event":"SparkListener' in head or b'"Event": "SparkListener' in head or (path.name.endswith(_PACKED) and b"\0" in head)
