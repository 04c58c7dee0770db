"""The worker: claims jobs, has each analysed in a process of its own, and stores what comes out, once."""

import json
import logging
import os
import random
import secrets
import shutil
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from spark_copilot.app.analysis_process import Task
from spark_copilot.app.analyst import Analyst
from spark_copilot.app.config import Settings
from spark_copilot.app.fetching import Fetched, FetchStopped, fetch
from spark_copilot.app.files import Files, safe_name
from spark_copilot.app.quota import room
from spark_copilot.app.watch.metrics import ANALYSES, PHASE_SECONDS, UPLOAD_BYTES
from spark_copilot.connectors import tracing
from spark_copilot.rules_engine.errors import CopilotError, Unavailable
from spark_copilot.rules_engine.findings import Report
from spark_copilot.storage.job_queue import Claim, JobQueue
from spark_copilot.storage.metadata_repository import Analysed, MetadataRepository
from spark_copilot.storage.metrics_repository import MetricsRepository
from spark_copilot.storage.upload_repository import UploadRepository

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
PROGRESS_SECONDS = 0.4
FETCH_PROGRESS_SECONDS = 2.0
MAX_DETAIL_BYTES = 512 << 20
"""Logs up to this size are kept with what Spark's own pages show of each task; it makes the tables of larger ones too large."""
TIDY_SECONDS = 600.0
MAX_KEPT_MIB = 512
"""A process that took more memory than this is not used again."""


@dataclass
class _Active:
    claim: Claim
    analyst: Analyst
    began: float = field(default_factory=time.monotonic)
    beat: float = field(default_factory=time.monotonic)
    lost: bool = False
    unsaid: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Events that are not stored yet."""
    ended: str = ""
    """Why the process was ended from here."""
    outcome: str = "lost"
    """done, failed, again (another attempt may do better), released, known (the bytes fetched are another run's), or lost."""
    error: str = ""


class Worker:
    """Runs in threads of its own until `stop`. Several workers, on one machine or many, share one database and one home folder."""

    def __init__(
        self,
        settings: Settings,
        queue: JobQueue,
        repository: MetadataRepository,
        uploads: UploadRepository,
        files: Files,
        analyser: str,
    ) -> None:
        self.settings, self.queue, self.repository, self.uploads, self.files = settings, queue, repository, uploads, files
        self.analyser = analyser
        self.name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(3)}"
        self._active: dict[str, _Active] = {}
        self._idle: list[Analyst] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._runners: list[threading.Thread] = []

    def start(self, *, warm: bool = False) -> None:
        """Begin to work; warm: with a process that is ready for the first job."""
        if warm:
            self._idle.append(Analyst())
        self._thread = threading.Thread(target=self._loop, name="worker", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it goes on looking for work."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    def wake(self) -> None:
        """There is work: look now."""
        self._wake.set()

    def stop(self, *, grace_seconds: float = 0.0) -> None:
        """Claim no more; what is not done within the grace time goes back to the queue."""
        self._stopping.set()
        self._wake.set()
        until = time.monotonic() + grace_seconds
        while self._busy() and time.monotonic() < until:
            time.sleep(0.05)
        if self._thread is not None:
            self._thread.join(timeout=20)  # first: what it was just beginning has begun then, and is among those that follow
        with self._lock:
            for active in self._active.values():
                active.ended = active.ended or "stopping"
                active.analyst.kill()
        for thread in self._runners:
            thread.join(timeout=20)
        with self._lock:
            idle, self._idle = self._idle, []
        for analyst in idle:
            analyst.close()

    def _busy(self) -> int:
        with self._lock:
            return len(self._active)

    def _loop(self) -> None:
        swept, tidied, trouble = 0.0, 0.0, 0
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                now = time.monotonic()
                if now - swept >= self.settings.job_sweep_seconds or not swept:
                    swept = now
                    self.queue.sweep([name for name in self.queue.holders() if _is_gone(name)])
                if now - tidied >= TIDY_SECONDS or not tidied:
                    tidied = now
                    self._tidy()
                while self._busy() < self.settings.analysis_concurrency and not self._stopping.is_set():
                    claim = self.queue.claim(self.name)
                    if claim is None:
                        break
                    self._begin(claim)
                self._beat()
                trouble = 0
            except (CopilotError, OSError):
                trouble = min(trouble + 1, 6)
                log.exception("the worker cannot go on; it tries again")
                self._stopping.wait(random.uniform(0.2, 0.5) * 2**trouble)
            except Exception:
                log.exception("a fault of the worker; it goes on")
                self._stopping.wait(1.0)
            self._wake.wait(POLL_SECONDS)

    def _tidy(self) -> None:
        """Remove what nobody waits for any more."""
        for file in self.uploads.expired():
            self.files.remove(file)
        in_use = self.repository.files_in_use() | self.uploads.files()
        self.files.sweep(in_use, older_than_seconds=self.settings.upload_expires_seconds)

    def _beat(self) -> None:
        """Hold every job, and end the analyses that are not ours any more or take too long."""
        now = time.monotonic()
        with self._lock:
            active = list(self._active.values())
        for one in active:
            if now - one.began > self.settings.analysis_wall_seconds:
                self._end(one, "time")
            elif now - one.beat >= self.settings.job_heartbeat_seconds:
                self._hold(one)

    def _hold(self, one: _Active, progress: dict[str, Any] | None = None, events: tuple[tuple[str, dict[str, Any]], ...] = ()) -> None:
        one.beat = time.monotonic()
        if not self.queue.heartbeat(one.claim, progress, events):
            one.lost = True
            self._end(one, "lost")

    def _end(self, one: _Active, why: str) -> None:
        one.ended = one.ended or why
        one.analyst.kill()

    def _begin(self, claim: Claim) -> None:
        with self._lock:
            analyst = self._idle.pop() if self._idle else None
        if analyst is not None and not analyst.usable:
            analyst.close()
            analyst = None
        active = _Active(claim, analyst or Analyst())
        with self._lock:
            self._active[claim.job_id] = active
        self._runners = [thread for thread in self._runners if thread.is_alive()]
        thread = threading.Thread(target=self._run, args=(active,), name=f"job-{claim.job_id[:8]}", daemon=True)
        self._runners.append(thread)
        thread.start()

    def _run(self, one: _Active) -> None:
        claim = one.claim
        with (
            structlog.contextvars.bound_contextvars(run_id=claim.run_id, tenant=claim.tenant, attempt=claim.attempt),
            tracing.span("analysis", kind="consumer", parent=claim.traceparent, run_id=claim.run_id, attempt=claim.attempt) as span,
        ):
            log.info("analysis begins")
            self._work(one)
            seconds = round(time.monotonic() - one.began, 3)
            log.info("analysis ends", extra={"outcome": one.outcome, "code": one.error or None, "seconds": seconds})
            ANALYSES.labels(one.outcome).inc()
            span.set(outcome=one.outcome)
            if one.error:
                span.fail(one.error)

    def _work(self, one: _Active) -> None:
        folder: Path | None = None
        last: dict[str, Any] | None = None
        try:
            folder = self.files.work(f"{one.claim.job_id}-{one.claim.token}")
            brought, last = self._bring(one)
            if brought:
                last = self._follow(one, folder)
            self._outcome(one, folder, last)
        except Exception as error:  # the thread's edge: the job must not be left hanging until its lease ends
            log.exception("job %s", one.claim.job_id)
            detail = "the results could not be stored"
            one.outcome, one.error = "again", "storage-failed"
            try:
                self.queue.fail(one.claim, {"code": "storage-failed", "detail": detail, "because": type(error).__name__}, final=False)
            except CopilotError:
                log.exception("job %s goes back when its lease ends", one.claim.job_id)
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
            self._put_away(one, last)
            self._wake.set()

    def _put_away(self, one: _Active, last: dict[str, Any] | None) -> None:
        """Keep a process that did well for the next job: starting one takes longer than analysing a small log."""
        well = last is not None and int(last.get("mib", MAX_KEPT_MIB)) < MAX_KEPT_MIB and not one.ended and one.analyst.usable
        with self._lock:
            self._active.pop(one.claim.job_id, None)
            keep = well and not self._stopping.is_set()
            if keep:
                self._idle.append(one.analyst)
        if not keep:
            one.analyst.close()

    def _bring(self, one: _Active) -> tuple[bool, dict[str, Any] | None]:
        """Fetch the log where nobody sent it. False: there is nothing to analyse, and the message says why, where there is one."""
        claim = one.claim
        source = self.repository.run(claim.tenant, claim.run_id).source if claim.original is None else None
        if source is None:
            return True, None
        told = 0.0

        def progress(taken: int, whole: int | None) -> None:
            nonlocal told
            if time.monotonic() - told >= FETCH_PROGRESS_SECONDS:
                told = time.monotonic()
                message = {"received_bytes": taken, **({"size_bytes": whole} if whole is not None else {})}
                self._hold(one, {"stage": "fetching", "share": 0.0, **message}, (("fetching", message),))

        try:
            with tracing.span("fetch"):
                limit = room(self.settings, self.repository, claim.tenant)
                got = fetch(self.settings, source, self.files.new_upload(), limit, progress, lambda: bool(one.ended))
        except FetchStopped:
            return False, None
        except CopilotError as error:
            known = {"code": error.code, "detail": str(error), "hint": error.hint}
            return False, {"error": known, "final": not isinstance(error, Unavailable)}
        return self._brought(one, got)

    def _brought(self, one: _Active, got: Fetched) -> tuple[bool, dict[str, Any] | None]:
        kept = self.files.keep(got.part)
        added = self.queue.holding(
            one.claim,
            lambda session: self.repository.fetched(
                session, one.claim, content_hash=got.sha256, size_bytes=got.size, original=kept, analyser=self.analyser
            ),
        )
        if added is None:
            one.lost = True
            self.files.remove(kept)
            return False, None
        UPLOAD_BYTES.inc(got.size)
        if added.run.id != one.claim.run_id:
            if not added.fresh:
                self.files.remove(kept)
            return False, {"known": added.run.id}
        one.claim = replace(one.claim, content_hash=got.sha256, original=kept)
        return True, None

    def _follow(self, one: _Active, folder: Path) -> dict[str, Any] | None:
        """Hand the task over and listen; the last message, None when the process ended without one."""
        if (task := self._task(one.claim, folder)) is None:
            error = {"code": "log-gone", "detail": "the uploaded log is not there any more", "hint": "upload it again"}
            return {"error": error, "final": True}
        written = 0.0
        parent = tracing.current()
        for message in one.analyst.ask(task):
            if "span" in message:
                tracing.replay(message["span"], parent)
                _timed(message["span"])
                continue
            if "done" in message or "error" in message:
                return message
            if "earlier" in message:
                one.analyst.answer(self._earlier(one.claim, message["earlier"]))
                continue
            name = str(message.pop("stage", "working"))
            one.unsaid.append((name, message))
            if time.monotonic() - written >= PROGRESS_SECONDS:
                written = time.monotonic()
                self._hold(one, _progress(name, message), tuple(one.unsaid))
                one.unsaid.clear()
        return None

    def _earlier(self, claim: Claim, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """The tenant's earlier runs of a job. A prediction is not worth failing an analysis for."""
        try:
            metrics = MetricsRepository(self.repository.database)
            return metrics.history_rows(claim.tenant, str(asked["job"]), before_ms=int(asked["before_ms"]))
        except CopilotError:
            log.exception("no history for run %s", claim.run_id)
            return []

    def _task(self, claim: Claim, folder: Path) -> Task | None:
        if claim.original is None or not (path := self.files.path(claim.original)).is_file():
            return None
        run = self.repository.run(claim.tenant, claim.run_id)
        return Task(
            log=path.resolve(), name=safe_name(run.filename), out=folder, detail=path.stat().st_size <= MAX_DETAIL_BYTES,
            keep_redacted=self.settings.keep_originals, max_decompressed_bytes=self.settings.max_decompressed_bytes,
            memory_bytes=self.settings.analysis_memory_bytes, cpu_seconds=self.settings.analysis_cpu_seconds,
            pricing=self.settings.pricing, history=True,
        )  # fmt: skip

    def _outcome(self, one: _Active, folder: Path, last: dict[str, Any] | None) -> None:
        claim = one.claim
        if one.lost:
            return
        if last is not None and "known" in last:
            one.outcome = "known"
            return
        if last is not None and "done" in last:
            self._store(one, folder, int(last["done"]))
            return
        if last is not None:
            self._fail(one, last["error"], final=bool(last.get("final")))
            return
        if one.ended == "stopping":
            one.outcome = "released"
            self.queue.release(claim)
            return
        if one.ended == "time" or one.analyst.status == -24:  # SIGXCPU
            error = {
                "code": "analysis-timeout",
                "detail": "the analysis took longer than it may",
                "hint": "SPARK_COPILOT_ANALYSIS_WALL_SECONDS and _CPU_SECONDS raise the limits",
            }
            self._fail(one, error, final=True)
            return
        log.error("the analysis of run %s ended with status %s: %s", claim.run_id, one.analyst.status, one.analyst.said[-2000:])
        detail = f"the process that analysed the log ended with status {one.analyst.status}"
        self._fail(one, {"code": "analysis-crashed", "detail": detail}, final=False)

    def _fail(self, one: _Active, error: dict[str, Any], *, final: bool) -> None:
        claim = one.claim
        one.outcome, one.error = "failed" if final else "again", str(error["code"])
        if self.queue.fail(claim, error, final=final) and self.repository.run(claim.tenant, claim.run_id).original is None:
            self.files.remove(claim.original)

    def _store(self, one: _Active, folder: Path, count: int) -> None:
        with tracing.span("store"), PHASE_SECONDS.labels("store").time():
            self._keep(one, folder, count)

    def _keep(self, one: _Active, folder: Path, count: int) -> None:
        claim = one.claim
        texts = [(folder / f"{number}.json").read_bytes() for number in range(count)]
        rows = [json.loads((folder / f"{number}.row.json").read_bytes()) for number in range(count)]
        reports = [Report.model_validate_json(text) for text in texts]
        results = self.files.results(claim.run_id, claim.token)
        shutil.rmtree(results, ignore_errors=True)
        folder.rename(results)
        kept = self.files.kept(results)
        redacted = results / "original.zstd"
        original = self.files.kept(redacted) if redacted.is_file() else None
        made = Analysed(reports, texts, kept, self.analyser, original, rows)
        before = self.repository.run(claim.tenant, claim.run_id).results
        if self.queue.finish(claim, lambda session: self.repository.store(session, claim, made), tuple(one.unsaid)):
            one.outcome = "done"
            self.files.remove(claim.original)
            if before is not None and before != kept:
                self.files.remove(before)
        else:
            self._discard(claim, kept)

    def _discard(self, claim: Claim, kept: str) -> None:
        """Remove results that nobody wants, unless they are the run's after all (the answer to the commit may have been lost)."""
        try:
            if self.repository.run(claim.tenant, claim.run_id).results == kept:
                return
        except CopilotError as error:
            if error.code != "not-found":
                return
        self.files.remove(kept)


def _progress(name: str, message: dict[str, Any]) -> dict[str, Any]:
    """How far a run is, 0 to 1: reading is the most of it."""
    if name == "parsing":
        return {"stage": name, "share": round(0.8 * float(message.get("share", 0.0)), 3)}
    if name == "parsed":
        return {"stage": name, "share": 0.8}
    return {"stage": name, "share": 0.9, **({"agent": message["agent"]} if "agent" in message else {})}


def _timed(span: dict[str, Any]) -> None:
    if span["name"] in ("read", "analyse"):
        PHASE_SECONDS.labels(span["name"]).observe((span["end"] - span["start"]) / 1e9)


def _is_gone(name: str) -> bool:
    """Whether a worker was a process of this machine that is not there any more: its lease need not be waited for.

    Where two machines share a name this may be wrong; then the work is done twice, and stored once.
    """
    host, _, rest = name.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
