"""Runs, findings, figures and tables of one tenant, read for many runs at a time: as many statements as kinds of thing, however many runs."""

import base64
import binascii
import json
from collections.abc import Collection, Sequence
from typing import TypeVar

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import aliased

from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage.database import Database
from spark_copilot.storage.metadata_repository import MAX_INDEXED
from spark_copilot.storage.models import Feedback, FindingRow, Run, RunMetrics, StoredReport, TableSeen

Row = TypeVar("Row", FindingRow, TableSeen, RunMetrics, StoredReport)


class RunReader:
    """Reads for one tenant. Lists come with one row more than asked for where there is more."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.database, self.tenant = database, tenant

    def runs(self, run_ids: Collection[str]) -> dict[str, Run]:
        """Those of these runs that the tenant has."""
        with self.database.read(self.tenant) as session:
            return {run.id: run for run in session.scalars(select(Run).where(Run.tenant == self.tenant, Run.id.in_(run_ids)))}

    def findings_of(
        self, run_ids: Collection[str], *, first: int, after: str | None = None, severity: str | None = None
    ) -> dict[str, list[FindingRow]]:
        """The first findings of each run, most valuable first.

        Raises:
            UsageError: a cursor that was not given out.
        """
        place = func.row_number().over(partition_by=FindingRow.run_id, order_by=(FindingRow.number, FindingRow.rank)).label("place")
        wanted = select(FindingRow, place).where(FindingRow.tenant == self.tenant, FindingRow.run_id.in_(run_ids))
        if severity is not None:
            wanted = wanted.where(FindingRow.severity == severity)
        if after is not None:
            number, rank = decoded(after, int, int)
            wanted = wanted.where(or_(FindingRow.number > number, and_(FindingRow.number == number, FindingRow.rank > rank)))
        inner = wanted.subquery()
        row = aliased(FindingRow, inner)
        with self.database.read(self.tenant) as session:
            found = session.scalars(select(row).where(inner.c.place <= first + 1).order_by(row.run_id, row.number, row.rank)).all()
        return _by_run(found)

    def tables_of(self, run_ids: Collection[str], *, first: int, after: str | None = None) -> dict[str, list[TableSeen]]:
        """The first tables of each run, in the order of its log.

        Raises:
            UsageError: a cursor that was not given out.
        """
        place = func.row_number().over(partition_by=TableSeen.run_id, order_by=(TableSeen.number, TableSeen.position)).label("place")
        wanted = select(TableSeen, place).where(TableSeen.tenant == self.tenant, TableSeen.run_id.in_(run_ids))
        if after is not None:
            number, position = decoded(after, int, int)
            wanted = wanted.where(or_(TableSeen.number > number, and_(TableSeen.number == number, TableSeen.position > position)))
        inner = wanted.subquery()
        row = aliased(TableSeen, inner)
        with self.database.read(self.tenant) as session:
            found = session.scalars(select(row).where(inner.c.place <= first + 1).order_by(row.run_id, row.number, row.position)).all()
        return _by_run(found)

    def metrics_of(self, run_ids: Collection[str]) -> dict[str, list[RunMetrics]]:
        """The figures of each application of each run."""
        wanted = select(RunMetrics).where(RunMetrics.tenant == self.tenant, RunMetrics.run_id.in_(run_ids))
        with self.database.read(self.tenant) as session:
            return _by_run(session.scalars(wanted.order_by(RunMetrics.run_id, RunMetrics.number)).all())

    def reports_of(self, run_ids: Collection[str]) -> dict[str, list[StoredReport]]:
        """The reports of each run, with their bodies."""
        wanted = select(StoredReport).where(StoredReport.tenant == self.tenant, StoredReport.run_id.in_(run_ids))
        with self.database.read(self.tenant) as session:
            return _by_run(session.scalars(wanted.order_by(StoredReport.run_id, StoredReport.number)).all())

    def verdicts_of(self, run_ids: Collection[str]) -> dict[tuple[str, str], str]:
        """What was said of findings, by run and key."""
        with self.database.read(self.tenant) as session:
            said = session.scalars(select(Feedback).where(Feedback.tenant == self.tenant, Feedback.run_id.in_(run_ids)))
            return {(one.run_id, one.key): one.verdict for one in said}

    def findings(
        self,
        *,
        first: int,
        after: str | None = None,
        code: str | None = None,
        severity: str | None = None,
        fingerprint: str | None = None,
    ) -> tuple[list[FindingRow], str | None]:
        """Findings of all runs, those of the newest run first, and where the next page begins.

        Raises:
            UsageError: a cursor that was not given out.
        """
        wanted = select(FindingRow, Run.created_ms).join(Run, Run.id == FindingRow.run_id).where(FindingRow.tenant == self.tenant)
        for column, value in ((FindingRow.code, code), (FindingRow.severity, severity), (FindingRow.fingerprint, fingerprint)):
            if value is not None:
                wanted = wanted.where(column == value)
        if after is not None:
            created, run_id, number, rank = decoded(after, int, str, int, int)
            later = or_(FindingRow.number > number, and_(FindingRow.number == number, FindingRow.rank > rank))
            same = and_(Run.created_ms == created, FindingRow.run_id == run_id, later)
            wanted = wanted.where(or_(Run.created_ms < created, and_(Run.created_ms == created, FindingRow.run_id < run_id), same))
        wanted = wanted.order_by(Run.created_ms.desc(), FindingRow.run_id.desc(), FindingRow.number, FindingRow.rank).limit(first + 1)
        with self.database.read(self.tenant) as session:
            found = session.execute(wanted).all()
        rows = [row for row, _ in found[:first]]
        more = encoded(found[first - 1][1], rows[-1].run_id, rows[-1].number, rows[-1].rank) if len(found) > first else None
        return rows, more

    def tables(self, *, first: int, after: str | None = None, name: str | None = None) -> tuple[list[TableSeen], str | None]:
        """Tables as runs saw them, the last seen first, and where the next page begins.

        Raises:
            UsageError: a cursor that was not given out.
        """
        wanted = select(TableSeen).where(TableSeen.tenant == self.tenant)
        if name is not None:
            wanted = wanted.where(TableSeen.name == name[:MAX_INDEXED])
        if after is not None:
            seen, run_id, number, position = decoded(after, int, str, int, int)
            later = or_(TableSeen.number > number, and_(TableSeen.number == number, TableSeen.position > position))
            same = and_(TableSeen.seen_ms == seen, TableSeen.run_id == run_id, later)
            wanted = wanted.where(or_(TableSeen.seen_ms < seen, and_(TableSeen.seen_ms == seen, TableSeen.run_id < run_id), same))
        wanted = wanted.order_by(TableSeen.seen_ms.desc(), TableSeen.run_id.desc(), TableSeen.number, TableSeen.position).limit(first + 1)
        with self.database.read(self.tenant) as session:
            found = list(session.scalars(wanted))
        rows = found[:first]
        last = rows[-1] if rows else None
        more = encoded(last.seen_ms, last.run_id, last.number, last.position) if last is not None and len(found) > first else None
        return rows, more


def encoded(*parts: int | str) -> str:
    """A cursor: where a page ended."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decoded(cursor: str, *kinds: type) -> tuple[int | str, ...]:
    """The parts of a cursor.

    Raises:
        UsageError: it was not given out by such a list.
    """
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and [type(part) for part in parts] == list(kinds) and all(_fits(part) for part in parts):
            return tuple(parts)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        pass
    raise UsageError("not a cursor of this list", hint="take `next` of the page before as it stands")


def _fits(part: int | str) -> bool:
    return abs(part) < 2**63 if isinstance(part, int) else len(part) < 100


def _by_run(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.run_id, []).append(row)
    return found
