"""The way in: lines of a log -> events -> one `AppRun` for each application."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from spark_copilot.connectors.eventlog import events as ev
from spark_copilot.connectors.eventlog.build import Builder
from spark_copilot.connectors.eventlog.build_tasks import CHUNK
from spark_copilot.connectors.eventlog.decompress import Cut, ReadLimits, blocks
from spark_copilot.connectors.eventlog.depth import MAX_DEPTH, too_deep
from spark_copilot.connectors.eventlog.locate import Part, Source, locate
from spark_copilot.rules_engine.errors import BadInput, NotAnEventLog, NotFound
from spark_copilot.rules_engine.facts import Application, AppRun
from spark_copilot.rules_engine.redact import redact_text

SNIFF_BYTES = 64 << 10
MAX_UNKNOWN = 200
_TASK_END = b'{"Event":"SparkListenerTaskEnd",'
_TASK_START = b'{"Event":"SparkListenerTaskStart",'
_PREFIX = b'{"Event":"'
_HEADLINES = (b'{"Event":"SparkListenerApplication', b'{"Event":"SparkListenerLogStart"')
_LISTENER = (b'{"Event":"SparkListener', b'{"Event":"org.apache.spark.')
_NO_EVENT = "no line of its first 64 KiB is a Spark listener event"
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_runs(
    path: str | Path, *, limits: ReadLimits | None = None, progress: Callable[[int], None] | None = None, detail: bool = False
) -> Generator[AppRun, None, None]:
    """Every application attempt under a path ("-": standard input), in the order of the names.

    A file that is no event log is an error when it was named itself, and is passed over in a directory of many as long as one is.

    With `detail` the runs also hold what Spark's own pages show of each task: metric strings of plan nodes, running tasks, peaks a stage. It
    takes about twice the time.

    Raises:
        NotFound: no such path.
        NotAnEventLog: nothing there is an event log.
        LimitExceeded: the input unpacks to more than the limits allow.
    """
    limits = limits or ReadLimits()
    refused: NotAnEventLog | None = None
    found = False
    for source in locate(Path(path), limits):
        try:
            for run in _Reader(source, limits, progress, detail).runs():
                found = True
                yield run
        except NotAnEventLog as error:
            refused = error
    if not found:
        raise refused or NotAnEventLog(str(path), "the directory holds no log")


def read_run(path: str | Path, *, limits: ReadLimits | None = None) -> AppRun:
    """The first application of a log.

    Raises:
        NotAnEventLog: there is none.
    """
    with closing(read_runs(path, limits=limits)) as runs:
        return next(runs)


def headlines(path: str | Path, *, limits: ReadLimits | None = None) -> Generator[Application, None, None]:
    """Name, span and user of every application under a path, without the rest: several times faster than reading it.

    What is no event log is passed over.
    """
    limits = limits or ReadLimits()
    with suppress(BadInput):  # an archive that is broken as a whole
        for source in locate(Path(path), limits):
            with suppress(BadInput, NotFound):
                for run in _Reader(source, limits, None, detail=False, headline=True).runs():
                    yield run.app


def raw_lines(path: str | Path, *, limits: ReadLimits | None = None) -> Generator[bytes, None, None]:
    """The lines of the first log under a path, unpacked and in order, as they stand.

    Raises:
        NotFound: no such path.
        NotAnEventLog: the first log there is none.
        LimitExceeded: the input unpacks to more than the limits allow.
    """
    limits = limits or ReadLimits()
    source = next(iter(locate(Path(path), limits)), None)
    if source is None:
        raise NotAnEventLog(str(path), "the directory holds no log")
    next(_Reader(source, limits, None, detail=False, headline=True).runs())  # refuses what is no log, before anything is handed out
    reader = _Reader(source, limits, None, detail=False, headline=True)
    reader.known = True
    for part in source.parts:
        try:
            for lines in reader._lines(part):
                yield from lines
        except Cut:
            continue


class _Reader:
    def __init__(
        self, source: Source, limits: ReadLimits, progress: Callable[[int], None] | None, detail: bool, headline: bool = False
    ) -> None:
        self.detail, self.headline = detail, headline
        self.source, self.limits, self.progress = source, limits, progress
        self.builder = self._fresh()
        self.line = 0  # whole lines before the block in hand
        self.offset = 0  # bytes before it
        self.file = source.name
        self.finished: list[AppRun] = []
        self.last = False  # whether the line in hand has no end: the writer was stopped in it
        self.known = False  # whether an event has been seen: the input is a log

    def _fresh(self) -> Builder:
        builder = Builder(self.source.name, detail=self.detail)
        builder.compacted = self.source.compacted
        for issue in self.source.issues:
            builder.issue(issue)
        return builder

    def runs(self) -> Iterator[AppRun]:
        broken = ""
        for part in self.source.parts:
            self.file, self.line, self.offset = part.name, 0, 0
            try:
                for lines in self._lines(part):
                    self._take(lines)
                    yield from self._drain()
                    if not self.known and self.offset > SNIFF_BYTES:
                        raise NotAnEventLog(self.source.name, _NO_EVENT)
            except Cut as error:
                broken = f"the packed data breaks off ({error})"
                self.builder.truncated = True
                self.builder.issue(f"{self.file}, line {self.line + 1}: {broken}")
        if not self.known:
            raise NotAnEventLog(self.source.name, broken or ("no line of it is a Spark listener event" if self.offset else "it is empty"))
        if not self.builder.empty or not self.finished:
            yield self.builder.build()

    def _drain(self) -> Iterator[AppRun]:
        yield from self.finished
        self.finished.clear()

    def _lines(self, part: Part) -> Iterator[list[bytes]]:
        """Lists of whole lines, without their ends; the longest line ever held is the limit."""
        rest: list[bytes] = []  # of a line that goes on in the next block
        held = 0
        skipping = False
        cut: Cut | None = None
        stream = blocks(part.name, part.open(), self.limits, self.progress)
        while True:
            try:
                block = next(stream, b"")
            except Cut as error:
                cut, block = error, b""
            if not block:
                break
            lines = block.split(b"\n")
            if len(lines) == 1:
                rest.append(block)
                held += len(block)
            else:
                lines[0] = b"".join((*rest, lines[0]))
                rest = [lines.pop()]
                held = len(rest[0])
                if skipping:
                    self.builder.bad_lines += 1
                    self.line += 1
                    lines, skipping = lines[1:], False
                yield lines
            if not self.known and self.offset + held > SNIFF_BYTES and not rest[0].startswith(_PREFIX):
                raise NotAnEventLog(self.source.name, _NO_EVENT)
            if held > self.limits.max_line_bytes:
                if not skipping:
                    self.builder.issue(f"{self.file}, line {self.line + 1}: longer than {self.limits.max_line_bytes:,} bytes, skipped")
                self.offset += held
                rest, held, skipping = [], 0, True
        if not skipping and (line := b"".join(rest)).strip():
            self.last = True
            yield [line]
            self.last = False
        if cut is not None:
            raise cut

    def _take(self, lines: list[bytes]) -> None:
        if self.headline:
            self._take_headline(lines)
            return
        if self.detail:
            self._take_detailed(lines)
            return
        builder = self.builder
        pending = builder.tasks.pending
        decode, end, start = ev.decode_task_end, _TASK_END, _TASK_START
        started = 0
        for index, line in enumerate(lines):
            if line.startswith(end):
                try:
                    pending.append(decode(line))
                except _BAD as error:
                    self._bad(lines, index, error)
            elif line.startswith(start):
                started += 1
            elif line:
                self._other(lines, index)
                if self.builder is not builder:
                    builder.tasks.started += started
                    builder, started = self.builder, 0
                    pending = builder.tasks.pending
        builder.tasks.started += started
        if pending or started:
            self.known = True
        if len(pending) >= CHUNK:
            builder.tasks.flush()
        self._count(lines)

    def _take_detailed(self, lines: list[bytes]) -> None:
        for index, line in enumerate(lines):
            try:
                if line.startswith(_TASK_END):
                    self.builder.task_end(ev.decode_detailed_end(line))
                    self.known = True
                elif line.startswith(_TASK_START):
                    self.builder.task_start(ev.decode_task_start(line))
                    self.known = True
                elif line:
                    self._other(lines, index)
            except _BAD as error:
                self._bad(lines, index, error)
        self._count(lines)

    def _take_headline(self, lines: list[bytes]) -> None:
        for index, line in enumerate(lines):
            if line.startswith(_HEADLINES) or (line and not line.startswith(_PREFIX)):
                self._other(lines, index)
            elif not self.known and line.startswith(_LISTENER):
                self.known = True
        self._count(lines)

    def _count(self, lines: list[bytes]) -> None:
        self.line += len(lines)
        self.offset += sum(map(len, lines)) + len(lines)

    def _other(self, lines: list[bytes], index: int) -> None:
        line = lines[index]
        try:
            if line.startswith(_PREFIX) and (close := line.find(b'"', 10, 200)) > 0:
                name = line[10:close].decode("ascii")
            else:
                line = line.strip().removeprefix(b"\xef\xbb\xbf")
                if not line:
                    return
                name = ev.decode_name(line).event
                if not name:
                    raise msgspec.DecodeError("no event name")
            if name == "SparkListenerTaskStart" and self.detail:
                self.builder.task_start(ev.decode_task_start(line))
                return
            if name == "SparkListenerTaskStart":
                self.builder.tasks.started += 1
                return
            decoder = ev.DECODERS.get(name)
            if decoder is None:
                self._unknown(name)
                return
            if too_deep(line):
                raise msgspec.DecodeError(f"nested more than {MAX_DEPTH} levels deep")
            event = ev.decode_detailed_end(line) if self.detail and name == "SparkListenerTaskEnd" else decoder.decode(line)
        except _BAD as error:
            self._bad(lines, index, error)
            return
        self.known = True
        if isinstance(event, ev.LogStart | ev.ApplicationStart):
            self._boundary(event)
        self.builder.handle(name, event)

    def _unknown(self, name: str) -> None:
        if "Listener" in name or name.startswith("org.apache.spark."):
            self.known = True
        if name not in ev.UNREAD:
            unknown = self.builder.unknown
            known = name[:200] if name[:200] in unknown or len(unknown) < MAX_UNKNOWN else "(others)"
            unknown[known] += 1

    def _boundary(self, event: ev.LogStart | ev.ApplicationStart) -> None:
        """A second application in the same file begins."""
        known = self.builder.start
        if known is None:
            return
        if isinstance(event, ev.LogStart):
            if self.source.rolled:
                return  # each part may have one
        elif (known.id, known.attempt) == (event.id, event.attempt):
            return
        self.finished.append(self.builder.build())
        self.builder = self._fresh()

    def _bad(self, lines: list[bytes], index: int, error: Exception) -> None:
        self.builder.bad_lines += 1
        if self.builder.full:  # a block of nothing but bad lines must not cost its square
            self.builder.more_issues += 1
            return
        at = self.offset + sum(map(len, lines[:index])) + index
        reason = "the last line is cut" if self.last else redact_text(str(error)[:160]) or type(error).__name__
        self.builder.truncated |= self.last
        self.builder.issue(f"{self.file}, line {self.line + index + 1}, byte {at}: {reason}")
