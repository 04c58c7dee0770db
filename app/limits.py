"""Token buckets: in this process, or in a Redis that several servers share.

Redis counts by its own clock, whatever that of the server says. While it does not answer each server counts for itself.
"""

import threading
import time
from collections import OrderedDict
from typing import Any

from pyrate_limiter import Rate, RedisStateStore, TokenBucket

from spark_copilot.app.shared_redis import SharedRedis

MAX_KEPT = 50_000
"""Buckets in memory; the one asked for longest ago goes first. A bucket that is gone counts as full."""
_UNIT_MS = 1_000_000_000
"""A rate is so many in a million seconds: a whole number, also of one every two minutes."""
_REDIS_TIME = """
local clock = redis.call('TIME')
ARGV[1] = string.format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
"""


class _RedisTimed(TokenBucket):
    """The library's bucket by Redis's own clock: one server whose clock is ahead would take what belongs to the others."""

    def redis_script(self) -> str:
        """The library's script, with the time that it was handed replaced."""
        script = super().redis_script()
        assert script is not None
        return _REDIS_TIME + script


class Limiter:
    """Buckets by name. Safe for threads."""

    def __init__(self, redis_url: str | None = None) -> None:
        self._buckets: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._policy, self._shared = TokenBucket(), _RedisTimed()
        self.redis = SharedRedis(redis_url, "rate limits", "counting in this process") if redis_url is not None else None

    def take(self, name: str, per_second: float, burst: int) -> int:
        """Take a token: 0, or the milliseconds until there is one."""
        if self.redis is not None:

            def check(client: Any) -> Any:
                store: Any = RedisStateStore(client, f"spark-copilot:{name}")
                return store.check(self._shared, [_rate(per_second, burst)], 0, 1)

            found = self.redis.ask(check)
            if found is not None:
                return 0 if found.allowed else max(1, found.retry_after_ms or 0)
        return self.local_take(name, per_second, burst)

    def local_take(self, name: str, per_second: float, burst: int) -> int:
        """The same in this process."""
        return self._local(name, per_second, burst, keep=True)

    def local_wait(self, name: str, per_second: float, burst: int) -> int:
        """How long until there is a token, without taking one."""
        return self._local(name, per_second, burst, keep=False)

    def _local(self, name: str, per_second: float, burst: int, *, keep: bool) -> int:
        rates = [_rate(per_second, burst)]
        now = time.monotonic_ns() // 1_000_000
        with self._lock:
            state = self._buckets.get(name) or self._policy.initial(rates)
            after, found = self._policy.step(rates, state, now, 1)
            if keep and found.allowed:
                self._buckets[name] = after
                self._buckets.move_to_end(name)
                if len(self._buckets) > MAX_KEPT:
                    self._buckets.popitem(last=False)
        return 0 if found.allowed else max(1, found.retry_after_ms or 0)


def _rate(per_second: float, burst: int) -> Rate:
    return Rate(max(1, round(per_second * _UNIT_MS / 1000)), _UNIT_MS, burst)
