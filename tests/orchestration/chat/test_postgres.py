"""Conversations kept in PostgreSQL: they go on after a restart, are listed by owner, and only the newest state stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.orchestration.chat.threads import open_chat
from spark_copilot.orchestration.runs import LogRuns
from spark_copilot.rules_engine.errors import NotFound, Unavailable

postgres: Any = pytest.importorskip("tests.postgres", reason="no way to start PostgreSQL here")
LOG = Path(__file__).parents[2] / "data" / "laboratory" / "big-sort.zstd"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.server(folder) as address:
        yield postgres.new_database(address)


def test_a_thread_goes_on_after_a_restart(url: str, tmp_path: Path) -> None:
    runs, place = LogRuns([LOG]), KnowledgePlace(tmp_path)
    first = open_chat(runs, place, database_url=url.replace("postgresql://", "postgresql+psycopg://"))
    thread = str(list(first.say("which stage is the bottleneck?", owner="ann"))[-1].data["thread_id"])
    first.close()
    second = open_chat(runs, place, database_url=url)
    assert "Why: spilled" in str(list(second.say("why?", thread_id=thread, owner="ann"))[-1].data["answer"])
    assert [(t.thread_id, t.turns) for t in second.threads("ann")] == [(thread, 2)]
    assert second.threads("bob") == ()
    assert len(list(second.checkpointer.list(None))) == 1
    second.delete(thread, "ann")
    with pytest.raises(NotFound):
        second.history(thread, "ann")
    second.close()
    assert not (tmp_path / "chat.sqlite").exists()


def test_a_database_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_copilot.orchestration.chat.threads.POOL_WAIT_S", 0.3)
    with pytest.raises(Unavailable, match="does not answer"):
        open_chat(LogRuns([LOG]), KnowledgePlace(tmp_path), database_url="postgresql://nobody@127.0.0.1:1/none")
