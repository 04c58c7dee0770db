"""Figures of past runs: how the same job went before."""

from typing import Any

from sqlalchemy import select

from spark_copilot.rules_engine.errors import NotFound
from spark_copilot.storage.database import Database
from spark_copilot.storage.metadata_repository import MAX_INDEXED
from spark_copilot.storage.models import RunMetrics


class MetricsRepository:
    """Reads what `MetadataRepository.store` keeps of every analysed run."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of_run(self, tenant: str, run_id: str, number: int = 0) -> RunMetrics:
        """Figures of one application of a run.

        Raises:
            NotFound: not analysed, or not this tenant's.
        """
        with self.database.read(tenant) as session:
            found = session.scalar(
                select(RunMetrics).where(RunMetrics.run_id == run_id, RunMetrics.number == number, RunMetrics.tenant == tenant)
            )
        if found is None:
            raise NotFound(f"no figures of run {run_id!r}")
        return found

    def history(self, tenant: str, job: str, *, before_ms: int | None = None, limit: int = 50) -> list[RunMetrics]:
        """Runs of a job (`application.job` of their reports), the last started first; with `before_ms` those that started earlier."""
        wanted = (
            select(RunMetrics)
            .where(RunMetrics.tenant == tenant, RunMetrics.job == job[:MAX_INDEXED])
            .order_by(RunMetrics.started_ms.desc(), RunMetrics.run_id, RunMetrics.number)
            .limit(limit)
        )
        if before_ms is not None:
            wanted = wanted.where(RunMetrics.started_ms < before_ms)
        with self.database.read(tenant) as session:
            return list(session.scalars(wanted))

    def history_rows(self, tenant: str, job: str, *, before_ms: int, limit: int = 200) -> list[dict[str, Any]]:
        """What prediction reads of the last complete runs of a job that started before a time."""
        wanted = (
            select(RunMetrics.history_row)
            .where(RunMetrics.tenant == tenant, RunMetrics.job == job[:MAX_INDEXED], RunMetrics.complete)
            .where(RunMetrics.started_ms < max(min(before_ms, 2**63 - 1), -(2**63)), RunMetrics.history_row.is_not(None))
            .order_by(RunMetrics.started_ms.desc(), RunMetrics.run_id, RunMetrics.number)
            .limit(limit)
        )
        with self.database.read(tenant) as session:
            return [row for row in session.scalars(wanted) if row is not None]
