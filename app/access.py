"""Who may come in: keys, and how often each may ask. Without any key the server answers its own machine alone, and limits nobody."""

import threading
import time

from spark_copilot.app.addresses import is_loopback
from spark_copilot.app.limits import Limiter
from spark_copilot.app.quota import QuotaReached
from spark_copilot.app.service import Service
from spark_copilot.rules_engine.errors import AuthError, CopilotError, LimitExceeded
from spark_copilot.storage.access_repository import AuditRepository, KeyRepository, KnownKey
from spark_copilot.storage.api_key import well_formed
from spark_copilot.storage.database import FILE

LOOK_SECONDS = 1.0
"""A server without keys looks this often whether there is one now."""
_HOUR = 3600.0
_DAY_MS = 86_400_000


class KeyMissing(AuthError):
    """A key is needed, and none was sent."""

    code = "key-missing"
    hint = "Send it as `Authorization: Bearer spc_…`; `spark-copilot keys create` makes one."


class TooMany(CopilotError):
    """Asked too often."""

    code = "rate-limited"
    hint = "Wait as long as Retry-After says."

    def __init__(self, message: str, retry_after_ms: int, *, code: str = code) -> None:
        super().__init__(message)
        self.code, self.retry_after_s = code, max(1, -(-retry_after_ms // 1000))


class Access:
    """Keys and limits of one server. Safe for threads."""

    def __init__(self, service: Service) -> None:
        self.service, self.settings = service, service.settings
        self._needed = not is_loopback(self.settings.host)
        self._looked = -LOOK_SECONDS
        self._swept = -_HOUR
        self._lock = threading.Lock()
        s = self.settings
        self.limiter = Limiter(s.redis_url.get_secret_value() if s.redis_url is not None else None)

    @property
    def keys(self) -> KeyRepository:
        """The keys."""
        return KeyRepository(self.service.database)

    @property
    def audit(self) -> AuditRepository:
        """The audit log."""
        return AuditRepository(self.service.database)

    def settled(self) -> bool | None:
        """Whether a key is needed, when that can be said without looking."""
        if self._needed:
            return True
        return False if time.monotonic() - self._looked < LOOK_SECONDS else None

    def needed(self) -> bool:
        """Whether a key is needed: one was made here, ever, or other machines reach this server.

        Raises:
            DatabaseUnavailable: it cannot be known, so nobody comes in.
        """
        known = self.settled()
        if known is not None:
            return known
        with self._lock:
            unopened = self.settings.database_url is None and not (self.settings.home / FILE).exists()
            if not unopened and self.keys.any():
                self._needed = True
            self._looked = time.monotonic()
        return self._needed

    def enter(self, key: str | None, address: str) -> KnownKey:
        """Whose key it is.

        Raises:
            KeyMissing, KeyMalformed, KeyUnknown, KeyRevoked, KeyExpired: it lets nobody in.
            TooMany: this address has tried too many wrong ones.
        """
        if key is None:
            raise KeyMissing("this needs an API key")
        guesses = f"guess:{address}"
        rate = (self.settings.wrong_keys_per_minute / 60, self.settings.wrong_keys_per_minute)
        wait = self.limiter.local_wait(guesses, *rate)
        if wait and well_formed(key):
            raise TooMany("too many wrong keys from this address", wait, code="too-many-wrong-keys")
        try:
            return self.keys.check(key)
        except AuthError:
            self.limiter.local_take(guesses, *rate)
            raise

    def spend(self, known: KnownKey) -> None:
        """Count a request against its key, then its tenant: a key that asks too often takes nothing from the others.

        Raises:
            TooMany: one of them has asked too often.
        """
        s = self.settings
        for name, rate, burst in (
            (f"key:{known.id}", s.rate_key_per_second, s.rate_key_burst),
            (f"tenant:{known.tenant}", s.rate_tenant_per_second, s.rate_tenant_burst),
        ):
            wait = self.limiter.take(name, rate, burst)
            if wait:
                raise TooMany(f"this {name.partition(':')[0]} may ask {rate:g} times a second", wait)

    def admit(self, tenant: str, size: int) -> None:
        """Whether the tenant may add a log of so many bytes.

        Raises:
            QuotaReached, LimitExceeded: it has as much as it may have, or would have more.
            TooMany: as many jobs as it may have are waiting.
        """
        s = self.settings
        if (s.quota_bytes is None and s.quota_runs is None and s.quota_jobs is None) or not self.needed():
            return
        usage = self.service.repository.usage(tenant)
        if s.quota_runs is not None and usage.runs >= s.quota_runs:
            raise QuotaReached(f"the tenant has {usage.runs} runs, as many as it may have", "quota-runs")
        if s.quota_bytes is not None and size > s.quota_bytes:
            raise LimitExceeded(f"the log is larger than the {s.quota_bytes} bytes that the tenant may keep")
        if s.quota_bytes is not None and usage.stored_bytes + size > s.quota_bytes:
            raise QuotaReached(f"the tenant may keep {s.quota_bytes} bytes of logs and has {usage.stored_bytes}", "quota-bytes")
        if s.quota_jobs is not None and usage.jobs >= s.quota_jobs:
            raise TooMany(f"{usage.jobs} logs of the tenant wait or are being analysed already", 10_000, code="quota-jobs")

    def sweep(self) -> None:
        """Forget old audit lines, once an hour."""
        if time.monotonic() - self._swept >= _HOUR:
            self._swept = time.monotonic()
            self.audit.forget(self.settings.audit_days * _DAY_MS)
