"""`AppRun` <-> Parquet, through DuckDB: the one stored form of a parsed run.

A run is a folder of six files that DuckDB, pandas and Spark read as they lie. `tasks`, `stages`, `jobs` and `executors` have one row an entry and
the columns of `rules_engine.facts`, with the unit in each name; `sql` has one row an execution, `run` one row in all. Nested values stand as JSON
text, in `sql` and `run` in the column `record`. A column that the log did not have is not there.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import duckdb
import msgspec
import numpy as np

from spark_copilot.connectors.eventlog import ReadLimits, read_runs
from spark_copilot.rules_engine.cached_rdds import CachedRdd
from spark_copilot.rules_engine.errors import BadInput, NotFound
from spark_copilot.rules_engine.facts import (
    PUSH_READ,
    Application,
    AppRun,
    ConnectOperation,
    ConnectSession,
    Environment,
    ExecutorTable,
    JobTable,
    Late,
    Process,
    Quality,
    Resubmission,
    RunningTask,
    SqlExecution,
    StageTable,
    StreamProgress,
    TaskTable,
)

VERSION = 4
"""Raised when the meaning of a column changes; tables of another version are made again from the log."""
DEFAULT_CACHE_BYTES = 2 << 30
MAX_NOTES = 10_000

_TABLES: dict[str, type[Any]] = {"tasks": TaskTable, "stages": StageTable, "jobs": JobTable, "executors": ExecutorTable}
_PUSH = "push_"


class UnusableTables(BadInput):
    """Stored tables of another version, or damaged ones."""

    code = "run-tables-unusable"
    hint = "Read the log again; the tables are made anew."


class _Record(msgspec.Struct):
    """What of a run is no table."""

    app: Application
    environment: Environment
    streaming: tuple[StreamProgress, ...]
    errors: tuple[str, ...]
    resource_profiles: dict[int, dict[str, Any]]
    quality: Quality
    running: tuple[RunningTask, ...]
    resubmitted: tuple[Resubmission, ...]
    stage_peaks: tuple[tuple[int, int, dict[str, int]], ...]
    late: Late
    cached: tuple[CachedRdd, ...]
    processes: tuple[Process, ...]
    operations: tuple[ConnectOperation, ...]
    sessions: tuple[ConnectSession, ...]


def write_tables(run: AppRun, folder: Path, *, content_hash: str = "") -> None:
    """Write a run's tables into a folder, which appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".building-"))
    try:
        with contextlib.closing(duckdb.connect(":memory:")) as con:
            for name, kind in _TABLES.items():
                _copy(con, building / f"{name}.parquet", _columns(getattr(run, name), kind), content_hash)
            _copy(con, building / "sql.parquet", _sql_columns(run), content_hash)
            _copy(con, building / "run.parquet", _run_columns(run), content_hash)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process may have put the same tables there meanwhile
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def read_tables(folder: Path) -> AppRun:
    """The run that was written there, equal to the one that was read from the log.

    Raises:
        NotFound: no tables in that folder.
        UnusableTables: of another version, or damaged.
    """
    if not (folder / "run.parquet").is_file():
        raise NotFound(f"{folder}: no run tables")
    try:
        with contextlib.closing(duckdb.connect(":memory:")) as con:
            version = _version(con, folder / "run.parquet")
            if version != str(VERSION):
                raise UnusableTables(f"{folder}: run tables of version {version or 'unknown'}, this program reads {VERSION}")
            tables = {name: _table(con, folder / f"{name}.parquet", kind) for name, kind in _TABLES.items()}
            executions = _load(con, folder / "sql.parquet")["record"]
            record = msgspec.json.decode(_load(con, folder / "run.parquet")["record"][0], type=_Record)
            sql = tuple(_from_json(text, SqlExecution) for text in executions)
    except (duckdb.Error, msgspec.MsgspecError, KeyError, IndexError, TypeError) as error:
        raise UnusableTables(f"{folder}: damaged run tables ({str(error).splitlines()[0][:200]})") from error
    return AppRun(
        app=record.app,
        environment=record.environment,
        sql=sql,
        streaming=record.streaming,
        errors=record.errors,
        resource_profiles=record.resource_profiles,
        quality=record.quality,
        running=record.running,
        resubmitted=record.resubmitted,
        stage_peaks={(stage, executor): peaks for stage, executor, peaks in record.stage_peaks},
        late=record.late,
        cached=record.cached,
        processes=record.processes,
        operations=record.operations,
        sessions=record.sessions,
        **tables,
    )


def read_application(folder: Path) -> Application:
    """Name, span and user of the run that was written there, without the rest.

    Raises:
        NotFound: no tables in that folder.
        UnusableTables: of another version, or damaged.
    """
    file = folder / "run.parquet"
    if not file.is_file():
        raise NotFound(f"{folder}: no run tables")
    try:
        with contextlib.closing(duckdb.connect(":memory:")) as con:
            if _version(con, file) != str(VERSION):
                raise UnusableTables(f"{folder}: run tables of another version")
            return msgspec.json.decode(_load(con, file)["record"][0], type=_Record).app
    except (duckdb.Error, msgspec.MsgspecError, KeyError, IndexError) as error:
        raise UnusableTables(f"{folder}: damaged run tables ({str(error).splitlines()[0][:200]})") from error


def content_hash(path: Path) -> str:
    """SHA-256 of a log: a file's bytes, or names and bytes of a directory's files in order."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    for file in files:
        if path.is_dir():
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode(errors="surrogateescape"))
        with file.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _stamp(path: Path) -> str:
    """Place, sizes and times of a log's files: the same while nothing was written."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    stats = [(str(file.resolve()), s.st_size, s.st_mtime_ns, s.st_ino) for file in files for s in [file.stat()]]
    return hashlib.sha256(repr(stats).encode(errors="surrogateescape")).hexdigest()


class RunCache:
    """Parsed runs under one folder, found by the log's content: a log is not parsed twice. The least recently used go when it is full."""

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.folder, self.max_bytes = folder, max_bytes

    def runs(
        self,
        path: Path,
        *,
        limits: ReadLimits | None = None,
        detail: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[AppRun]:
        """What `read_runs` yields for this path, from the tables when they are there. A log that is still written is read anew each time.

        Raises:
            NotFound: no such path.
            BadInput: as `read_runs`.
        """
        if not path.exists():
            raise NotFound(f"{path}: no such file or directory")
        stamp = _stamp(path)
        name = self._name(path, stamp)
        home = self.folder / f"{name}{'-detail' if detail else ''}-v{VERSION}"
        known = self._known(home)
        if known is not None:
            yield from known
            return
        runs = list(read_runs(path, limits=limits, detail=detail, progress=progress))
        if all(run.complete for run in runs) and _stamp(path) == stamp:
            with contextlib.suppress(OSError, duckdb.Error):  # a full disk spoils no answer
                self._keep(home, runs)
        yield from runs

    def _name(self, path: Path, stamp: str) -> str:
        """The log's content hash, remembered for a file that has not changed: the same log elsewhere is known too."""
        note = self.folder / "seen" / stamp
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if re.fullmatch(r"[0-9a-f]{64}", known := note.read_text()):
                return known
        name = content_hash(path)
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            note.write_text(name)
        return name

    def _keep(self, home: Path, runs: list[AppRun]) -> None:
        for number, run in enumerate(runs):
            write_tables(run, home / str(number), content_hash=home.name.partition("-")[0])
        (home / "count").write_text(str(len(runs)))
        self._evict(home)

    def _known(self, home: Path) -> list[AppRun] | None:
        try:
            count = int((home / "count").read_text())
            runs = [read_tables(home / str(number)) for number in range(count)] or None
            os.utime(home)
        except (OSError, ValueError, NotFound, UnusableTables):
            return None
        return runs

    def _evict(self, keep: Path) -> None:
        sizes = {
            entry: (entry.stat().st_mtime, sum(file.stat().st_size for file in entry.rglob("*") if file.is_file()))
            for entry in self.folder.iterdir()
            if entry.is_dir() and entry.name != "seen"
        }
        notes = sorted((self.folder / "seen").iterdir(), key=lambda note: note.stat().st_mtime)
        for note in notes[:-MAX_NOTES]:
            note.unlink(missing_ok=True)
        total = sum(size for _, size in sizes.values())
        for entry, (_, size) in sorted(sizes.items(), key=lambda item: item[1][0]):
            if total <= self.max_bytes:
                return
            if entry != keep:
                shutil.rmtree(entry, ignore_errors=True)
                total -= size


def _columns(table: Any, kind: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in fields(kind):
        value = getattr(table, f.name)
        if isinstance(value, np.ndarray):
            if value.ndim == 2:
                out.update({_PUSH + name: np.ascontiguousarray(value[:, at]) for at, name in enumerate(PUSH_READ)})
            else:
                out[f.name] = value
        elif value is not None and len(value) == len(table):
            texts = value if _is_text(_element(kind, f.name)) else [_to_json(item) for item in value]
            out[f.name] = _objects(texts)
    return out


def _table(con: duckdb.DuckDBPyConnection, file: Path, kind: Any) -> Any:
    columns = _load(con, file)
    given: dict[str, Any] = {}
    for f in fields(kind):
        if f.name == "push_read":
            if _PUSH + PUSH_READ[0] in columns:
                given[f.name] = np.stack([columns[_PUSH + name] for name in PUSH_READ], axis=1)
        elif f.name in columns:
            element = _element(kind, f.name)
            values = columns[f.name]
            if element is None:
                given[f.name] = np.ascontiguousarray(values)
            elif _is_text(element):
                given[f.name] = tuple(_text(value) for value in values)
            else:
                given[f.name] = tuple(_from_json(value, element) for value in values)
    return kind(**given)


def _sql_columns(run: AppRun) -> dict[str, Any]:
    return {
        "sql_id": np.array([one.sql_id for one in run.sql], dtype=np.int64),
        "description": _objects([one.description for one in run.sql]),
        "submitted_ms": np.array([one.submitted_ms for one in run.sql], dtype=np.int64),
        "completed_ms": np.array([one.completed_ms for one in run.sql], dtype=np.int64),
        "error": _objects([one.error for one in run.sql]),
        "record": _objects([_to_json(one) for one in run.sql]),
    }


def _run_columns(run: AppRun) -> dict[str, Any]:
    record = _Record(
        run.app, run.environment, run.streaming, run.errors, {k: dict(v) for k, v in run.resource_profiles.items()}, run.quality, run.running,
        run.resubmitted, tuple((stage, executor, dict(peaks)) for (stage, executor), peaks in run.stage_peaks.items()), run.late, run.cached, run.processes,
        run.operations, run.sessions,
    )  # fmt: skip
    return {
        "app_id": _objects([run.app.id]),
        "app_name": _objects([run.app.name]),
        "attempt": _objects([run.app.attempt]),
        "spark_version": _objects([run.app.spark_version]),
        "started_ms": np.array([run.started_ms], dtype=np.int64),
        "ended_ms": np.array([run.ended_ms], dtype=np.int64),
        "complete": np.array([run.complete], dtype=np.bool_),
        "record": _objects([_to_json(record)]),
    }


def _copy(con: duckdb.DuckDBPyConnection, file: Path, rows: dict[str, Any], content: str) -> None:
    # A column of nothing but None would be written with the type of NULL.
    chosen = ", ".join(f'"{name}"::VARCHAR AS "{name}"' if column.dtype == object else f'"{name}"' for name, column in rows.items())
    con.register("run_rows", rows)
    meta = f"{{spark_copilot_version: '{VERSION}', content_hash: '{content if content.isalnum() else ''}'}}"
    con.execute(f"COPY (SELECT {chosen} FROM run_rows) TO {_quoted(file)} (FORMAT parquet, COMPRESSION zstd, KV_METADATA {meta})")
    con.unregister("run_rows")


def _load(con: duckdb.DuckDBPyConnection, file: Path) -> dict[str, Any]:
    found = con.execute(f"SELECT * FROM read_parquet({_quoted(file)})").fetchnumpy()
    return {name: _filled(values) for name, values in found.items()}


def _filled(values: Any) -> Any:
    if not isinstance(values, np.ma.MaskedArray):
        return values
    plain = values.data
    if plain.dtype == object:
        plain = plain.copy()
        plain[np.ma.getmaskarray(values)] = None
    return plain


def _version(con: duckdb.DuckDBPyConnection, file: Path) -> str:
    rows = con.execute(f"SELECT value FROM parquet_kv_metadata({_quoted(file)}) WHERE key = 'spark_copilot_version'").fetchall()
    return bytes(rows[0][0]).decode() if rows else ""


def _quoted(file: Path) -> str:
    return "'" + str(file).replace("'", "''") + "'"


def _objects(values: Any) -> Any:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


@cache
def _element(kind: Any, name: str) -> Any:
    """The type of a tuple column's items, None for a numeric column."""
    hint = get_type_hints(kind)[name]
    return get_args(hint)[0] if get_origin(hint) is tuple else None


def _is_text(element: Any) -> bool:
    if get_origin(element) in (Union, types.UnionType):
        return set(get_args(element)) == {str, type(None)}
    return element is str


def _to_json(value: object) -> str:
    return msgspec.json.encode(dict(value) if isinstance(value, Mapping) else value).decode()


def _from_json(text: Any, kind: Any) -> Any:
    return _decoder(kind).decode(text)


@cache
def _decoder(kind: Any) -> Any:
    return msgspec.json.Decoder(kind)
