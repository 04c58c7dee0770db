"""A few of the mutations that `python -m tests.fuzz` makes by the thousand, one of each kind."""

import random
from pathlib import Path

import pytest

from spark_copilot.connectors.eventlog import raw_lines
from tests.fuzz.judge import judge
from tests.fuzz.mutations import MUTATIONS, name_of

DATA = Path(__file__).resolve().parent.parent / "data"
SOURCES = (DATA / "eventlogs" / "codec-sample", DATA / "laboratory" / "lost-executor.zstd")


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=[name_of(m) for m in MUTATIONS])
def test_p13_a_report_or_one_refusal(number: int, tmp_path: Path) -> None:
    mutation = MUTATIONS[number]
    (tmp_path / "input").mkdir()
    mutation([line for line in raw_lines(SOURCES[number % 2]) if line], random.Random(name_of(mutation)), tmp_path / "input" / "log")
    verdict = judge(next((tmp_path / "input").iterdir()))
    assert not verdict.faults, verdict.faults
    assert verdict.code in (0, 3)
