"""Who asks: the one dependency from which every route learns its tenant."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from spark_copilot.app.access import Access
from spark_copilot.rules_engine.errors import AuthError, UsageError
from spark_copilot.storage.access_repository import SCOPES, KeyOver, KnownKey, Scope
from spark_copilot.storage.api_key import holds_key
from spark_copilot.storage.models import LOCAL_TENANT

READS = frozenset({"GET", "HEAD", "OPTIONS"})
ASKING = ("/ask", "/gate", "/compare", "/whatif", "/analyze/partition", "/graphql")
"""Ends of paths where a POST changes nothing: it only asks."""
_BEARER = HTTPBearer(auto_error=False, description="An API key (`spark-copilot keys create`); not needed while there is none.")


class ScopeMissing(AuthError):
    """The key does not allow this."""

    code = "scope-missing"
    hint = "`spark-copilot keys create --scope` makes one that does."

    def __init__(self, needed: Scope) -> None:
        super().__init__(f"this needs a key of scope {needed}")
        self.needed = needed


class KeyInUrl(UsageError):
    """Addresses end up in logs and histories."""

    code = "key-in-url"
    hint = "Send it as `Authorization: Bearer …`, and revoke this one: it may have been written down on the way."


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, in whose name everything of a request happens. Without keys there is no `key_id`, and everything is allowed."""

    tenant: str
    key_id: str | None = None
    scope: Scope = "admin"


TENANT: ContextVar[str] = ContextVar("tenant", default=LOCAL_TENANT)
"""The caller's tenant for what lies too deep for a parameter: the stores behind Spark's own monitoring routes."""


async def caller(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None) -> Caller:
    """The owner of the request's key; the local tenant while there are no keys.

    Raises:
        AuthError: no key, a wrong one, or one that does not allow this.
        TooMany: asked too often.
    """
    # Not a plain function: one would run in another thread, whose context the route does not see.
    access: Access = request.app.state.access
    if holds_key(request.url.query):
        raise KeyInUrl("an API key is in the address")
    needed = access.settled()
    if needed is None:
        needed = await run_in_threadpool(access.needed)
    found = Caller(LOCAL_TENANT)
    if needed:
        try:
            known = await run_in_threadpool(access.enter, given.credentials if given else None, address_of(request))
        except KeyOver as error:
            request.state.caller = _of(error.known)
            raise
        request.state.caller = found = _of(known)
        await run_in_threadpool(access.spend, known)
        allow(found, "read" if request.method in READS or request.url.path.endswith(ASKING) else "write")
    TENANT.set(found.tenant)
    return found


def allow(who: Caller, needed: Scope) -> None:
    """Nothing, when the caller's key allows it.

    Raises:
        ScopeMissing: it does not.
    """
    if SCOPES.index(who.scope) < SCOPES.index(needed):
        raise ScopeMissing(needed)


def address_of(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client is not None else ""


def _of(known: KnownKey) -> Caller:
    return Caller(known.tenant, known.id, known.scope)


CallerDep = Annotated[Caller, Depends(caller)]
