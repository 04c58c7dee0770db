"""Report bodies in a real Redis: found by their content, never wrong, and nothing more than slower without it."""

import signal
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from spark_copilot.app import shared_redis
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.app.report_cache import ReportCache
from spark_copilot.app.service import Service
from tests import redis_server
from tests.servers import ended, until

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
FORMS = ("json", "md", "html")


class Server:
    """One server and a finished run of it."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.service: Service = client.app.state.service  # type: ignore[attr-defined]
        self.run_id = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()["run_id"]
        assert ended(client, self.run_id)["status"] == "done"
        (self.etag,) = [stored.etag for stored in self.service.repository.reports("local", self.run_id)]

    @property
    def redis(self) -> Any:
        assert self.service.bodies.redis is not None
        return self.service.bodies.redis.client

    def report(self, form: str = "json") -> bytes:
        answer = self.client.get(f"/api/v1/runs/{self.run_id}/report", params={"format": form})
        assert answer.status_code == 200, answer.text
        return answer.content

    def everything(self) -> list[bytes]:
        paths = (f"runs/{self.run_id}/findings", f"metrics/{self.run_id}", f"recommendations/{self.run_id}")
        return [*(self.report(form) for form in FORMS), *(self.client.get(f"/api/v1/{path}").content for path in paths)]

    def forget_bodies(self) -> None:
        """Take the bodies from the database, so that what is answered can only come from Redis."""
        with self.service.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE reports SET body = NULL")
        for path in (self.service.files.home / "runs").rglob("*.json"):
            path.unlink()


@pytest.fixture
def served(redis_url: str, home: Path) -> Iterator[Server]:
    with TestClient(create_app(Settings(home=home, redis_url=SecretStr(redis_url))), raise_server_exceptions=False) as client:
        made = Server(client)
        made.redis.flushall()
        yield made


def test_a_body_comes_from_redis_the_second_time(served: Server) -> None:
    first = served.everything()
    assert served.redis.keys("*") == [f"spark-copilot:report:{served.etag}".encode()]
    assert 0 < served.redis.ttl(f"spark-copilot:report:{served.etag}") <= 86_400
    served.forget_bodies()
    assert served.everything() == first
    served.redis.flushall()
    assert served.client.get(f"/api/v1/runs/{served.run_id}/report").status_code == 404  # so it was Redis that had it


def test_without_redis_the_answers_are_the_same(served: Server, tmp_path: Path) -> None:
    with TestClient(create_app(Settings(home=tmp_path / "plain"))) as client:
        plain = Server(client)
        assert [plain.report(form) for form in FORMS] == [served.report(form) for form in FORMS] == [served.report(form) for form in FORMS]


@pytest.mark.parametrize("planted", [b"", b"x" * 100, bytes(32) + zlib.compress(b"{}"), zlib.compress(bytes(1 << 20))])
def test_what_is_not_the_report_is_not_served(served: Server, planted: bytes) -> None:
    first = [served.report(form) for form in FORMS]
    key = f"spark-copilot:report:{served.etag}"
    assert len(served.redis.hkeys(key)) == len(FORMS)
    for field in served.redis.hkeys(key):
        served.redis.hset(key, field, planted)
    assert [served.report(form) for form in FORMS] == first
    for field in served.redis.hkeys(key):
        assert served.redis.hget(key, field) != planted  # and it was mended


def test_another_reports_json_under_this_name_is_not_served(served: Server) -> None:
    first = served.report()
    bodies = served.service.bodies
    bodies.text("0" * 64, lambda: b"never kept: its name is not its hash")
    assert served.redis.exists(f"spark-copilot:report:{'0' * 64}") == 0
    key = f"spark-copilot:report:{served.etag}"
    bodies.rendered(served.etag, "other", lambda: (b'{"another": "report"}', True))
    served.redis.hset(key, "json", served.redis.hget(key, f"other {bodies.release}"))
    assert served.report() == first


def test_another_program_words_reports_anew(redis_url: str) -> None:
    old, new = ReportCache(redis_url, "1"), ReportCache(redis_url, "2")
    assert old.rendered("e", "md", lambda: (b"old words", True)) == b"old words"
    assert new.rendered("e", "md", lambda: (b"new words", True)) == b"new words"
    assert old.rendered("e", "md", lambda: (b"", True)) == b"old words"
    assert old.rendered("half", "html", lambda: (b"without a timeline", False)) == b"without a timeline"
    assert old.rendered("half", "html", lambda: (b"whole", True)) == b"whole"


def test_a_deleted_run_leaves_nothing_behind(served: Server) -> None:
    served.everything()
    assert served.redis.dbsize() == 1
    assert served.client.delete(f"/api/v1/runs/{served.run_id}").status_code == 204
    assert served.redis.dbsize() == 0


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_r3_a_redis_that_goes_away_makes_it_slower_and_nothing_else(
    how: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_redis, "AWAY_SECONDS", 0.5)
    monkeypatch.setattr(shared_redis, "PATIENCE_SECONDS", 0.05)
    folder = tmp_path / "redis"
    folder.mkdir()
    with ExitStack() as stack:
        url, process = stack.enter_context(redis_server.running(folder))
        server = Server(stack.enter_context(TestClient(create_app(Settings(home=home, redis_url=SecretStr(url))))))
        first = server.everything()
        wrong: list[str] = []
        asked, stop = [0], threading.Event()

        def ask() -> None:
            while not stop.is_set():
                try:
                    if server.everything() != first:
                        wrong.append("another answer")
                except Exception as error:  # noqa: BLE001 - in a thread, where it would be lost
                    wrong.append(repr(error))
                asked[0] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        until(lambda: asked[0] >= 2)
        process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        seen = asked[0]
        until(lambda: asked[0] >= seen + 3)
        if how == "stopped":
            process.send_signal(signal.SIGCONT)
        else:
            process.wait()
            stack.enter_context(redis_server.running(folder, int(url.rpartition(":")[2].partition("/")[0])))
        until(lambda: server.service.bodies.redis is not None and server.service.bodies.redis.ask(lambda redis: redis.dbsize()) == 1)
        seen = asked[0]
        until(lambda: asked[0] >= seen + 2)
        assert wrong == []
