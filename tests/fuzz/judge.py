"""What must hold for any input: a report or one clear refusal, in bounded time and memory, and the monitoring API stands."""

import contextlib
import io
import json
import math
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from spark_copilot.app.api.monitoring import HistoryStore, monitoring_router
from spark_copilot.app.cli.main import run as run_command

FORMATS = ("json", "text", "md", "html")
MAX_SECONDS = 20.0
MAX_GROWTH_MB = 400
PATHS = (
    "", "/jobs", "/stages?withSummaries=true&details=true", "/stages?quantiles=0,1&withSummaries=true", "/executors", "/allexecutors", "/sql?length=1000",
    "/environment", "/storage/rdd", "/logs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one input."""

    code: int
    faults: tuple[str, ...]
    seconds: float
    grown_mb: float


class TooSlow(Exception):
    """The time is up."""


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TooSlow(f"more than {seconds:.0f} s of CPU")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge(path: Path) -> Verdict:
    """Analyse in every format, ask the monitoring API everything, and list what was wrong."""
    faults: list[str] = []
    before = _peak_mb()
    begun = time.process_time()
    code = 0
    try:
        with _alarm(MAX_SECONDS):
            for output in FORMATS:
                code = _command(["analyze", str(path), "--format", output], faults, output)
                if code:
                    break
            if not code:
                _command(["analyze", str(path), "--emit", "spark-submit"], faults, "emit")
                _command(["whatif", str(path), "--executors", "1,2,4", "--format", "json"], faults, "json")
            _monitoring(path, faults)
    except TooSlow as error:
        faults.append(str(error))
    grown = _peak_mb() - before
    if grown > MAX_GROWTH_MB:
        faults.append(f"peak memory grew by {grown:.0f} MB")
    return Verdict(code, tuple(faults), time.process_time() - begun, grown)


def _command(arguments: list[str], faults: list[str], output: str) -> int:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = int(run_command(arguments))
    what = " ".join(a for a in arguments if "/" not in a)
    said = err.getvalue()
    if code not in (0, 3) and not (arguments[0] == "whatif" and code == 2):
        faults.append(f"{what}: exit {code}: {said[:300]}")
    if code and out.getvalue():
        faults.append(f"{what}: exit {code} and {len(out.getvalue())} characters on stdout")
    if code and (len(said.splitlines()) > 2 or not said.startswith("error: ") or len(said) > 700):
        faults.append(f"{what}: not one sentence: {said[:300]!r}")
    if "Traceback" in said:
        faults.append(f"{what}: a traceback")
    if not code:
        faults.extend(f"{what}: {fault}" for fault in _text_faults(out.getvalue(), output))
    return code


def _text_faults(text: str, output: str) -> Iterator[str]:
    try:
        text.encode()
    except UnicodeEncodeError:
        yield "the output is no valid text"
    if output in ("text", "md", "emit") and any(ord(c) < 32 and c not in "\n\t" for c in text):
        yield "a control character in the output"
    if output != "json":
        return
    for line in text.splitlines():
        report = json.loads(line, parse_constant=lambda word: float(word))
        for place, value in _leaves(report, ""):
            if isinstance(value, float) and not math.isfinite(value):
                yield f"{place} is {value}"
            if isinstance(value, int | float) and not isinstance(value, bool) and value < 0 and "_ms" in place and "delta" not in place:
                yield f"{place} is negative: {value}"


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{place}[]")
    else:
        yield place, value


def _monitoring(path: Path, faults: list[str]) -> None:
    app = FastAPI()
    app.include_router(monitoring_router(HistoryStore(path.parent)), prefix="/api/v1")
    client = TestClient(app, raise_server_exceptions=False)
    base = "/api/v1/applications"
    answer = client.get(base)
    if answer.status_code != 200:
        faults.append(f"monitoring: {answer.status_code} for the list")
        return
    for application in answer.json()[:2]:
        name = application["id"]
        attempt = application["attempts"][0].get("attemptId")
        if not name or any(c in name + (attempt or "") for c in "/?#%\\ ") or not name.isprintable() or not name.isascii():
            continue
        own = f"{base}/{name}" + (f"/{attempt}" if attempt else "")
        for tail in PATHS:
            got = client.get(own + tail)
            if got.status_code not in (200, 404):
                faults.append(f"monitoring: {got.status_code} for {tail}: {got.text[:100]}")
            elif got.status_code == 200 and "json" in got.headers["content-type"]:
                faults.extend(
                    f"monitoring: {tail}{place} is {value}"
                    for place, value in _leaves(got.json(), "")
                    if place.lower().endswith("duration") and isinstance(value, int | float) and value < 0
                )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
