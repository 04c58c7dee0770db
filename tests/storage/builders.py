"""Runs as rows, without analysing anything."""

import hashlib
from functools import cache
from importlib.resources import files

from spark_copilot.orchestration.analyse import analyze
from spark_copilot.rules_engine.findings import Report
from spark_copilot.storage.database import Database
from spark_copilot.storage.job_queue import Claim, JobQueue
from spark_copilot.storage.metadata_repository import Analysed, MetadataRepository
from spark_copilot.storage.models import Run


@cache
def sample_report() -> Report:
    """The report of a sample log."""
    return analyze(str(files("spark_copilot.app") / "samples" / "skewed-join.zstd"))


def add(database: Database, content: str = "log", *, tenant: str = "local", filename: str | None = "log.zstd") -> Run:
    """A queued run of some bytes."""
    digest = hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()
    return MetadataRepository(database).add_run(
        tenant, content_hash=digest, size_bytes=3, original=f"uploads/{digest}", analyser="1", filename=filename
    ).run  # fmt: skip


def claimed(database: Database, content: str = "log") -> Claim:
    """A run in the hands of a worker."""
    add(database, content)
    claim = JobQueue(database).claim("w")
    assert claim is not None
    return claim


def outcome(report: Report | None = None, results: str = "runs/x/1") -> Analysed:
    """What an analysis would have made."""
    report = report or sample_report()
    return Analysed([report], [report.model_dump_json(by_alias=True).encode()], results, "1", None)


def finish(database: Database, claim: Claim, made: Analysed | None = None) -> bool:
    """End the job with its results."""
    repository = MetadataRepository(database)
    return JobQueue(database).finish(claim, lambda session: repository.store(session, claim, made or outcome()))
