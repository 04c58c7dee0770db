"""Logs from a History Server: its `logs` route answers a zip of an application's attempts."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from spark_copilot.connectors.remote import Allowed, BadSource, ImportNotAllowed, Place, SourceForbidden, SourceNotFound, SourceUnavailable

CONNECT_SECONDS = 10.0
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


def logs_path(place: Place, application: str, attempt: str | None) -> str:
    """The path of an application's logs on a History Server.

    Raises:
        BadSource: these are no ids.
    """
    for word in (application, attempt):
        if word is not None and not _ID.fullmatch(word):
            raise BadSource("application and attempt are ids as a History Server lists them")
    named = f"{application}/{attempt}" if attempt is not None else application
    return f"{place.path}/api/v1/applications/{named}/logs"


@asynccontextmanager
async def logs(
    place: Place, path: str, allowed: Allowed, *, token: str | None = None, idle_seconds: float = 60.0
) -> AsyncIterator[tuple[int | None, AsyncIterator[bytes]]]:
    """The zip's declared size and its pieces.

    The name is looked up once and the connection goes to the address that was checked; redirects are not followed, proxies not asked.

    Raises:
        ImportNotAllowed: the name leads where nothing is fetched from, or the server sends elsewhere.
        SourceNotFound, SourceForbidden, SourceUnavailable: it does not answer with logs.
    """
    address = await _address(place, allowed)
    shown = f"[{address}]" if ":" in address else address
    headers = {"Host": place.text.partition("://")[2].partition("/")[0], "Accept-Encoding": "identity", "Accept": "*/*"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    limits = httpx.Timeout(idle_seconds, connect=CONNECT_SECONDS)
    try:
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=limits) as client,
            client.stream(
                "GET", f"{place.scheme}://{shown}:{place.port}{path}", headers=headers, extensions={"sni_hostname": place.host}
            ) as answer,
        ):  # fmt: skip
            _check(place, answer)
            declared = answer.headers.get("content-length", "")
            yield (int(declared) if declared.isdigit() else None), answer.aiter_raw()
    except httpx.TimeoutException as error:
        raise SourceUnavailable(f"{place.text} does not answer") from error
    except httpx.HTTPError as error:
        raise SourceUnavailable(f"{place.text} cannot be asked: {type(error).__name__}") from error


def _check(place: Place, answer: httpx.Response) -> None:
    if answer.is_redirect or 300 <= answer.status_code < 400:
        raise ImportNotAllowed(f"{place.text} sends to another address", hint="Name the address that it sends to.")
    if answer.status_code in (401, 403, 407):
        raise SourceForbidden(f"{place.text} refuses (status {answer.status_code})")
    if answer.status_code in (404, 410):
        raise SourceNotFound(f"{place.text} knows no such application or attempt")
    if answer.status_code != 200:
        raise SourceUnavailable(f"{place.text} answers with status {answer.status_code}")


async def _address(place: Place, allowed: Allowed) -> str:
    host = place.host.strip("[]")
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise SourceUnavailable(f"the name {host} is not known") from error
    # A name with one bad address is not asked at any.
    addresses = [allowed.address(place.host, str(entry[4][0])) for entry in found]
    return addresses[0]
