"""Bodies of finished reports in a Redis, when there is one: by their content, so what is found is what would be made again."""

import hashlib
import zlib
from collections.abc import Callable

from spark_copilot.app.shared_redis import SharedRedis
from spark_copilot.app.watch.metrics import looked_up

LIVES_SECONDS = 86_400
MAX_PACKED_BYTES = 1 << 20
"""Larger ones would not come within Redis's 50 ms; the database and the results folder have them."""
MAX_BYTES = 64 << 20
_DIGEST = 32


class ReportCache:
    """One hash a report, named by the SHA-256 of its JSON; a field a form. Without a Redis it makes everything itself. Safe for threads."""

    def __init__(self, redis_url: str | None, release: str) -> None:
        """`release`: of this program, since another one may word the same report differently."""
        without = "reports come from the database"
        self.redis = SharedRedis(redis_url, "report cache", without) if redis_url is not None else None
        self.release = release

    def text(self, etag: str, make: Callable[[], bytes]) -> bytes:
        """The JSON whose SHA-256 this is."""
        return self._found(etag, "json", lambda text: hashlib.sha256(text).hexdigest() == etag, make)

    def rendered(self, etag: str, form: str, make: Callable[[], tuple[bytes, bool]]) -> bytes:
        """The report in another form; `make` says as well whether what it made is whole and may be kept."""
        return self._found(etag, f"{form} {self.release}", lambda text: True, make)

    def forget(self, etag: str) -> None:
        """Remove a report that somebody deleted."""
        if self.redis is not None:
            self.redis.ask(lambda client: client.delete(_key(etag)))

    def _found(
        self, etag: str, field: str, right: Callable[[bytes], bool], make: Callable[[], bytes] | Callable[[], tuple[bytes, bool]]
    ) -> bytes:
        if self.redis is None:
            made = make()
            return made[0] if isinstance(made, tuple) else made
        kept = self.redis.ask(lambda client: client.hget(_key(etag), field))
        text = _unpacked(kept) if isinstance(kept, bytes) else None
        if text is not None and right(text):
            looked_up("report", hit=True)
            return text
        looked_up("report", hit=False)
        made = make()
        text, whole = made if isinstance(made, tuple) else (made, right(made))
        if whole and len(packed := _packed(text)) <= MAX_PACKED_BYTES:
            self.redis.ask(lambda client: client.pipeline().hset(_key(etag), field, packed).expire(_key(etag), LIVES_SECONDS).execute())
        return text


def _key(etag: str) -> str:
    return f"spark-copilot:report:{etag}"


def _packed(text: bytes) -> bytes:
    return hashlib.sha256(text).digest() + zlib.compress(text, 1)


def _unpacked(kept: bytes) -> bytes | None:
    """The text, when it is the one that was put there, whole."""
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(kept[_DIGEST:], MAX_BYTES)
    except zlib.error:
        return None
    return text if opened.eof and hashlib.sha256(text).digest() == kept[:_DIGEST] else None
