"""A pytest plugin (`-p tests.faults.record`, by `make faults`): runs the tests that bear the id of a case and writes down what came of each."""

import json
from collections.abc import Iterator

import pytest

from tests.faults.catalogue import TESTS, ids_in, tests_by_case

RESULT = TESTS.parent / "benchmarks" / "results" / "faults.json"
LONG = "long: make faults-long"
"""Why a long test is skipped in a short run; what an earlier long run said of it then stands."""
_WORST = ("passed", "skipped", "failed")
_seen: dict[str, tuple[str, str]] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the others out."""
    named = [item for item in items if ids_in(item.name)]
    config.hook.pytest_deselected(items=[item for item in items if not ids_in(item.name)])
    items[:] = named


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The worst that came of a test, over its parameters."""
    name = report.nodeid.partition("[")[0].partition("@")[0]
    if report.when != "call" and report.outcome == "passed":
        return
    reason = str(report.longrepr[2]).removeprefix("Skipped: ") if report.skipped and isinstance(report.longrepr, tuple) else ""
    known = _seen.get(name)
    if known is None or _WORST.index(report.outcome) > _WORST.index(known[0]):
        _seen[name] = (report.outcome, reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write it down, once; workers of xdist report to the process that started them."""
    if hasattr(session.config, "workerinput") or not _seen:
        return
    earlier: dict[str, str] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    # Of a run over some files, the others stand as they were; tests that are gone are forgotten.
    there = {test for tests in tests_by_case().values() for test in tests}
    found = {name: said for name, said in {**earlier, **dict(_settled(earlier))}.items() if name in there}
    RESULT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _settled(earlier: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, (outcome, reason) in _seen.items():
        if reason.startswith(LONG) and name in earlier:
            yield name, earlier[name]
        else:
            yield name, outcome if not reason else f"{outcome}: {reason}"
