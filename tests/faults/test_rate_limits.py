"""The token buckets, in memory and in a real Redis (R1 to R4)."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_copilot.app import limits, shared_redis
from spark_copilot.app.limits import Limiter
from tests.timing import COUNTED, below


class Clock:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000

    def monotonic(self) -> float:
        return self.ms / 1000


@given(
    per_second=st.floats(0.05, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.integers(0, 3_000), min_size=1, max_size=150),
)
def test_r1_never_more_than_the_bucket_holds(per_second: float, burst: int, gaps: list[int]) -> None:
    clock, limiter = Clock(), Limiter()
    tokens, allowed, begun = float(burst), 0, clock.ms
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "time", clock)
        for gap in gaps:
            clock.ms += gap
            tokens = min(float(burst), tokens + per_second * gap / 1000)
            wait = limiter.take("x", per_second, burst)
            if wait == 0:
                allowed += 1
                tokens -= 1
                assert tokens > -0.01  # rates are kept to a millionth
            else:
                assert tokens < 1.01
                assert wait <= (1 - tokens) / per_second * 1000 * 1.001 + 2
            assert allowed <= burst + per_second * (clock.ms - begun) / 1000 + 0.01


def test_r2_the_rates_that_other_libraries_get_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limiter = Clock(), Limiter()
    monkeypatch.setattr(limits, "time", clock)

    def allowed(per_second: float, burst: int, seconds: int, step_ms: int) -> int:
        name, count = f"{per_second}", 0
        for _ in range(seconds * 1000 // step_ms):
            count += limiter.take(name, per_second, burst) == 0
            clock.ms += step_ms
        return count

    assert 308 <= allowed(100, 10, 3, 1) <= 310
    assert 31 <= allowed(1.5, 3, 20, 10) <= 33


def test_buckets_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_KEPT", 10)
    limiter = Limiter()
    for number in range(100):
        limiter.take(str(number), 1, 1)
    assert len(limiter._buckets) == 10


def test_r1_r2_in_redis_by_several_servers(redis_url: str) -> None:
    servers = [Limiter(redis_url) for _ in range(3)]
    counts: list[int] = []
    begun = time.monotonic()
    end = begun + 2.0

    def ask(server: Limiter) -> None:
        count = 0
        while time.monotonic() < end:
            count += server.take("r2", 50, 10) == 0
        counts.append(count)

    threads = [threading.Thread(target=ask, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (105 if COUNTED else 11) <= sum(counts) <= 13 + 50 * (time.monotonic() - begun)  # never more, however slow
    assert all(server.redis is not None and server.redis.away_until == 0 for server in servers)


def test_r4_a_server_whose_clock_is_ahead_gets_nothing_more(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right, ahead = Limiter(redis_url), Limiter(redis_url)
    assert [right.take("r4", 0.1, 2) for _ in range(2)] == [0, 0]
    real = time.time_ns
    with monkeypatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: real() + 120_000_000_000)
        assert 9_000 < ahead.take("r4", 0.1, 2) <= 10_000
    assert 9_000 < right.take("r4", 0.1, 2) <= 10_000


def test_r3_a_redis_that_forgets_and_one_that_is_full(redis_url: str) -> None:
    limiter = Limiter(redis_url)
    assert limiter.redis is not None
    redis = limiter.redis.client
    assert [limiter.take("r3", 0.1, 1) > 0 for _ in range(2)] == [False, True]
    redis.flushall()
    redis.script_flush()
    assert limiter.take("r3", 0.1, 1) == 0
    redis.config_set("maxmemory", "1")
    try:
        assert [limiter.take("full", 0.1, 1) > 0 for _ in range(2)] == [False, True]  # counted in this process
    finally:
        redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_r3_a_redis_that_does_not_answer(how: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_redis, "PATIENCE_SECONDS", 0.05)
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        if how == "silent":
            trap.listen()
        limiter = Limiter(f"redis://:geheim@127.0.0.1:{trap.getsockname()[1]}/0")
        begun = time.monotonic()
        assert [limiter.take("x", 0.1, 3) > 0 for _ in range(4)] == [False, False, False, True]
        assert below(time.monotonic() - begun, 1.0)  # one wait of 50 ms, then Redis is left alone for a while
    assert "geheim" not in caplog.text
