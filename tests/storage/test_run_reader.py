"""Reading many runs at a time, on both databases."""

import pytest

from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.storage.database import Database
from spark_copilot.storage.run_reader import RunReader, decoded, encoded
from tests.storage.builders import claimed, finish, outcome, sample_report


def filled(database: Database, runs: int) -> list[str]:
    """Finished runs; each has the sample's report three times over, as a log of three applications would."""
    report = sample_report()
    text = report.model_dump_json(by_alias=True).encode()
    found = []
    for number in range(runs):
        claim = claimed(database, f"log {number}")
        made = outcome()
        assert finish(database, claim, type(made)([report] * 3, [text] * 3, made.results, made.analyser, None))
        found.append(claim.run_id)
    return found


def test_pages_of_everything(database: Database) -> None:
    runs = filled(database, 3)
    reader = RunReader(database, "local")
    each = 3 * len(sample_report().findings)
    found, after = [], None
    while True:
        rows, after = reader.findings(first=2, after=after)
        found += [(row.run_id, row.number, row.rank) for row in rows]
        if after is None:
            break
    assert len(found) == len(set(found)) == 3 * each
    assert {run for run, _, _ in found} == set(runs)
    seen, after = [], None
    while True:
        tables, after = reader.tables(first=2, after=after)
        seen += [(row.run_id, row.number, row.position) for row in tables]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == sum(len(rows) for rows in reader.tables_of(runs, first=200).values())


def test_pages_of_each_run(database: Database) -> None:
    runs = filled(database, 2)
    reader = RunReader(database, "local")
    first = reader.findings_of(runs, first=1)
    assert {run: [(row.number, row.rank) for row in rows] for run, rows in first.items()} == {run: [(0, 0), (1, 0)] for run in runs}
    later = reader.findings_of(runs, first=5, after=encoded(0, 0))
    assert {run: [row.number for row in rows] for run, rows in later.items()} == {run: [1, 2] for run in runs}
    assert reader.findings_of(runs, first=5, severity="info") == {}
    assert {run: len(rows) for run, rows in reader.metrics_of(runs).items()} == dict.fromkeys(runs, 3)
    assert {run: len(rows) for run, rows in reader.reports_of(runs).items()} == dict.fromkeys(runs, 3)
    assert set(reader.runs([*runs, "none"])) == set(runs)


def test_another_tenant_reads_nothing(database: Database) -> None:
    runs = filled(database, 1)
    other = RunReader(database, "other")
    assert not other.runs(runs)
    assert not other.findings_of(runs, first=9)
    assert not other.tables_of(runs, first=9)
    assert not other.metrics_of(runs)
    assert not other.reports_of(runs)
    assert not other.verdicts_of(runs)
    assert other.findings(first=9) == ([], None)
    assert other.tables(first=9) == ([], None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "[1]", encoded(1), encoded("a", 1), encoded(1, 1, 1), encoded(2**63, 0), encoded(True, 1)]
)
def test_i9_cursors_that_were_not_given_out(cursor: str) -> None:
    with pytest.raises(UsageError):
        decoded(cursor, int, int)
