"""API keys and the audit log."""

import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from spark_copilot.rules_engine.errors import AuthError, NotFound, UsageError
from spark_copilot.storage.api_key import PREFIX_LENGTH, digest, new_key, well_formed
from spark_copilot.storage.database import EVERYONE, Database, clock, now_ms
from spark_copilot.storage.models import LOCAL_TENANT, ApiKey, AuditRow

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "write", "admin")
"""Each allows what those before it do."""
_TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_USED_EVERY_MS = 60_000
"""The time of last use is exact to a minute, so that reading does not mean writing."""


def check_tenant(name: str) -> None:
    """A tenant comes to be by its first key, so this is where its name is judged; never empty, and never `EVERYONE`.

    Raises:
        UsageError: it cannot be a tenant's.
    """
    if _TENANT.fullmatch(name) is None:
        raise UsageError(f"{name!r} cannot be a tenant", hint="small letters, digits, '.', '_' and '-'; at most 63")


class KeyMalformed(AuthError):
    """It cannot be a key."""

    code = "key-malformed"
    hint = "Was it copied whole? A key is spc_ and 49 letters and digits."


class KeyUnknown(AuthError):
    """No such key."""

    code = "key-unknown"


class KeyOver(AuthError):
    """It was good once; `known` says whose it was."""

    def __init__(self, message: str, known: "KnownKey") -> None:
        super().__init__(message)
        self.known = known


class KeyRevoked(KeyOver):
    """It was taken back."""

    code = "key-revoked"


class KeyExpired(KeyOver):
    """Its time is over."""

    code = "key-expired"
    hint = "`spark-copilot keys create` makes a new one."


@dataclass(frozen=True, slots=True)
class KnownKey:
    """Whose key it is, and what it may do."""

    id: str
    tenant: str
    scope: Scope


class KeyRepository:
    """Keys. The only place where one is seen whole is what `create` returns."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(self, tenant: str, name: str, scope: Scope, lives_ms: int | None) -> tuple[str, ApiKey]:
        """A new key and its row.

        Raises:
            UsageError: no tenant can be called so.
        """
        check_tenant(tenant)
        key = new_key()

        def work(session: Session) -> ApiKey:
            now = clock(session)
            row = ApiKey(
                id=secrets.token_hex(8), tenant=tenant, name=name, prefix=key[:PREFIX_LENGTH], digest=digest(key), scope=scope,
                created_ms=now, expires_ms=None if lives_ms is None else now + lives_ms, revoked_ms=None, last_used_ms=None,
            )  # fmt: skip
            session.add(row)
            return row

        return key, self.database.write(tenant, work)

    def check(self, key: str) -> KnownKey:
        """Whose key this is. A malformed one is refused without the database.

        Raises:
            KeyMalformed, KeyUnknown, KeyRevoked, KeyExpired: it lets nobody in.
        """
        if not well_formed(key):
            raise KeyMalformed("this is no key of this service")
        wanted = digest(key)
        with self.database.read(EVERYONE) as session:  # whose key it is is the question
            rows = session.scalars(select(ApiKey).where(ApiKey.prefix == key[:PREFIX_LENGTH])).all()
            now = clock(session)
        found = None
        for row in rows:
            if hmac.compare_digest(row.digest, wanted):
                found = row
        if found is None:
            raise KeyUnknown("no such key")
        scope: Scope = next(known for known in SCOPES if known == found.scope)
        known = KnownKey(found.id, found.tenant, scope)
        if found.revoked_ms is not None:
            raise KeyRevoked("this key was revoked", known)
        if found.expires_ms is not None and found.expires_ms <= now:
            raise KeyExpired("this key has expired", known)
        if found.last_used_ms is None or now - found.last_used_ms >= _USED_EVERY_MS:
            used = update(ApiKey).where(ApiKey.id == found.id).values(last_used_ms=now)
            self.database.write(found.tenant, lambda session: session.execute(used))
        return known

    def any(self) -> bool:
        """Whether a key was ever made here. One that was revoked counts: taking the last key back must not open the door."""
        with self.database.read(EVERYONE) as session:
            return bool(session.scalar(select(exists().select_from(ApiKey))))

    def every(self, tenant: str | None = None) -> list[ApiKey]:
        """The keys, of one tenant or of all, the newest first."""
        wanted = select(ApiKey).order_by(ApiKey.created_ms.desc(), ApiKey.id)
        with self.database.read(EVERYONE if tenant is None else tenant) as session:
            return list(session.scalars(wanted if tenant is None else wanted.where(ApiKey.tenant == tenant)))

    def revoke(self, key_id: str) -> ApiKey:
        """Take a key back; again changes nothing.

        Raises:
            NotFound: no such key.
        """

        def work(session: Session) -> ApiKey:
            row = session.get(ApiKey, key_id)
            if row is None:
                raise NotFound(f"no key {key_id!r}", hint="`spark-copilot keys list` shows the ids")
            if row.revoked_ms is None:
                row.revoked_ms = clock(session)
            return row

        return self.database.write(EVERYONE, work)  # by its id alone, at the command line


class AuditRepository:
    """What was done and refused."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(
        self,
        *,
        tenant: str,
        key_id: str | None,
        action: str,
        path: str,
        status: int,
        code: str | None,
        address: str | None,
        request_id: str,
    ) -> None:
        """Write one line."""

        def work(session: Session) -> None:
            session.add(
                AuditRow(
                    id=secrets.token_hex(8), at_ms=clock(session), tenant=tenant, key_id=key_id, action=action, path=path, status=status,
                    code=code, address=address, request_id=request_id,
                )
            )  # fmt: skip

        self.database.write(tenant or EVERYONE, work)  # the line of nobody is the server's own

    def lines(self, tenant: str, *, cursor: str | None = None, limit: int = 100) -> tuple[list[AuditRow], str | None]:
        """A tenant's lines, the newest first, and where the next page begins. The local tenant sees those of nobody too.

        Raises:
            UsageError: a cursor that was not given out.
        """
        tenants = [tenant, ""] if tenant == LOCAL_TENANT else [tenant]
        wanted = select(AuditRow).where(AuditRow.tenant.in_(tenants)).order_by(AuditRow.at_ms.desc(), AuditRow.id.desc()).limit(limit + 1)
        if cursor is not None:
            at, dash, last = cursor.partition("-")
            if not dash or not at.isascii() or not at.isdigit() or len(at) > 15:
                raise UsageError("not a cursor of this list", hint="take `next` of the page before as it stands")
            wanted = wanted.where(or_(AuditRow.at_ms < int(at), and_(AuditRow.at_ms == int(at), AuditRow.id < last)))
        with self.database.read(EVERYONE if tenant == LOCAL_TENANT else tenant) as session:  # the lines of nobody are no tenant's
            found = list(session.scalars(wanted))
        more, found = len(found) > limit, found[:limit]
        return found, f"{found[-1].at_ms}-{found[-1].id}" if more else None

    def forget(self, older_than_ms: int) -> None:
        """Drop the lines of longer ago."""
        old = delete(AuditRow).where(AuditRow.at_ms < now_ms() - older_than_ms)
        self.database.write(EVERYONE, lambda session: session.execute(old))
