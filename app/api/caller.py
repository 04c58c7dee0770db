"""Who asks: the one dependency from which every route learns its tenant."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from spark_copilot.storage.models import LOCAL_TENANT


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, in whose name everything of a request happens."""

    tenant: str


TENANT: ContextVar[str] = ContextVar("tenant", default=LOCAL_TENANT)
"""The caller's tenant for what lies too deep for a parameter: the stores behind Spark's own monitoring routes."""


async def caller() -> Caller:
    """The local tenant: without keys the server answers this machine alone."""
    # Not a plain function: one would run in another thread, whose context the route does not see.
    found = Caller(LOCAL_TENANT)
    TENANT.set(found.tenant)
    return found


CallerDep = Annotated[Caller, Depends(caller)]
