"""A Redis that several servers share, and that none of them needs: one that does not answer at once is left alone for some seconds."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from spark_copilot.rules_engine.errors import Unavailable

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 0.05
AWAY_SECONDS = 5.0
T = TypeVar("T")


class SharedRedis:
    """One user's connection: what one asks too much of it for does not keep the others away. Safe for threads."""

    def __init__(self, url: str, purpose: str, otherwise: str) -> None:
        """`purpose` and `otherwise` are for the log: what it is for, and what happens without it."""
        self.client = _client(url)
        self.away_until = 0.0
        self._purpose, self._otherwise = purpose, otherwise

    def ask(self, work: Callable[[Any], T]) -> T | None:
        """What the work returns; None when Redis does not do it, or was found not to answer a moment ago."""
        if time.monotonic() < self.away_until:
            return None
        try:
            return work(self.client)
        except Exception as error:  # noqa: BLE001 - whatever Redis does, requests go on
            self.away_until = time.monotonic() + AWAY_SECONDS
            log.warning("the Redis of the %s does not answer (%s): %s", self._purpose, type(error).__name__, self._otherwise)
            return None


def _client(url: str) -> Any:
    try:
        import redis
    except ModuleNotFoundError as error:
        raise Unavailable("SPARK_COPILOT_REDIS_URL is set and the Redis client is not installed",
                          hint='pip install "spark-intelligence-copilot[redis]"') from error  # fmt: skip
    try:
        return redis.Redis.from_url(url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS, retry=None)
    except ValueError as error:
        raise Unavailable("SPARK_COPILOT_REDIS_URL is not a Redis URL", hint="redis://:password@host:6379/0") from error
