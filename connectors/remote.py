"""Where logs may be fetched from: places that its settings name, and addresses on the network that a name may stand for."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from spark_copilot.rules_engine.errors import BadInput, CopilotError, NotFound, Unavailable, UsageError

OBJECT_STORES = ("s3", "gs", "az")
WEB = {"http": 80, "https": 443}
MAX_URL = 2_000
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\]")
_WEB_PATH = re.compile(r"[A-Za-z0-9/_.~-]*")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f\\]")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8",
        "168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128",
    )
)  # fmt: skip
"""Nobody keeps logs there: this host, link-local, multicast and reserved addresses, and where clouds hand out their machines' credentials."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BadSource(BadInput):
    """The address of a log that cannot be one."""

    code = "source-not-valid"
    hint = "s3://bucket/key, gs://bucket/key, az://container/key, or http(s)://history-server with an application id."


class ImportNotAllowed(CopilotError):
    """The settings do not name this place."""

    code = "import-not-allowed"
    hint = "SPARK_COPILOT_IMPORT_FROM names the places that logs may be fetched from."


class AddressRefused(ImportNotAllowed):
    """The name stands for an address that nothing is fetched from."""

    code = "import-address-refused"
    hint = "Private addresses need their network in SPARK_COPILOT_IMPORT_NETWORKS; link-local and metadata addresses are never asked."


class SourceNotFound(NotFound):
    """There is no log at that place."""

    code = "source-not-found"


class SourceForbidden(BadInput):
    """The place wants credentials that this process does not have."""

    code = "source-forbidden"
    hint = "Credentials come from this process's own environment (docs/service.md)."


class SourceUnavailable(Unavailable):
    """The place does not answer as it should; it may later."""

    code = "source-unavailable"


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and a key, or a web server and a path: no user, no query, nothing encoded."""

    scheme: str
    host: str
    port: int | None
    path: str

    @property
    def is_store(self) -> bool:
        """Whether it lies in an object store."""
        return self.scheme in OBJECT_STORES

    @property
    def key(self) -> str:
        """The object's key, or a web server's path without the slashes around it."""
        return self.path.strip("/")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.key.rpartition("/")[2]

    @property
    def text(self) -> str:
        """The place as one writes it."""
        port = f":{self.port}" if self.port is not None and self.port != WEB.get(self.scheme) else ""
        return f"{self.scheme}://{self.host}{port}{self.path}"


def place(url: str) -> Place:
    """The place that a URL names.

    Raises:
        BadSource: it is not one of the kinds that logs are fetched from, or says more than where.
    """
    if len(url) > MAX_URL or _UNPRINTABLE.search(url):
        raise BadSource("the address is too long or holds characters that do not belong there")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadSource("the address cannot be read") from error
    scheme, netloc = parts.scheme.lower(), parts.netloc
    if scheme not in OBJECT_STORES and scheme not in WEB:
        raise BadSource(f"logs are not fetched by {scheme[:20]!r}" if scheme else "the address names no scheme")
    if "@" in netloc:
        raise BadSource("the address holds a user or a password")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise BadSource("the address holds a query or a fragment")
    host = netloc if scheme in OBJECT_STORES else netloc.rpartition(":")[0] if port is not None else netloc.removesuffix(":")
    path = re.sub(r"/+$", "", parts.path)
    if any(piece in (".", "..") for piece in path.split("/")):
        raise BadSource("the path of the address goes up")
    if scheme in OBJECT_STORES:
        if not _BUCKET.fullmatch(host):
            raise BadSource("the address names no bucket")
        return Place(scheme, host, None, path)
    host = host.lower()
    if not _HOST.fullmatch(host) or not _WEB_PATH.fullmatch(path) or port == 0:
        raise BadSource("the address names no web server, or its path holds more than letters, digits and slashes")
    return Place(scheme, host, port if port is not None else WEB[scheme], path)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The places of the settings, and the networks beyond the public ones that names of web servers may lead to."""

    places: tuple[Place, ...] = ()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, places: str, networks: str) -> "Allowed":
        """From the settings' comma-separated texts.

        Raises:
            UsageError: an entry cannot be read.
        """
        try:
            return cls(
                tuple(place(word) for word in _words(places)), tuple(ipaddress.ip_network(word) for word in _words(networks))
            )  # fmt: skip
        except BadSource as error:
            raise UsageError(f"SPARK_COPILOT_IMPORT_FROM: {error}", hint=error.hint) from error
        except ValueError as error:
            raise UsageError(f"SPARK_COPILOT_IMPORT_NETWORKS: {error}", hint="for example 10.0.0.0/8,fd00::/8") from error

    def check(self, wanted: Place) -> None:
        """Whether the settings name this place, or one that it lies in.

        Raises:
            ImportNotAllowed: they do not.
        """
        for known in self.places:
            same = (known.scheme, known.host, known.port) == (wanted.scheme, wanted.host, wanted.port)
            if same and (wanted.path + "/").startswith(known.path + "/"):
                return
        if not self.places:
            raise ImportNotAllowed("logs are fetched from nowhere")
        raise ImportNotAllowed("logs are not fetched from there")

    def address(self, host: str, found: str) -> str:
        """The address that a name was found to stand for, when it may be asked.

        Raises:
            AddressRefused: it may not.
        """
        address = ipaddress.ip_address(found.partition("%")[0])
        for meant in (address, _inside(address)):
            if meant is None:
                continue
            if any(meant in network for network in NEVER):
                raise AddressRefused(f"{host} leads to an address that nothing is fetched from")
        inner = _inside(address) or address
        named = host.strip("[]") == str(address)  # the settings name this very address: `check` has seen to that
        if not named and not inner.is_global and not any(inner in network for network in self.networks):
            raise AddressRefused(f"{host} leads into a private network")
        return str(address)


def _inside(address: Address) -> Address | None:
    """The IPv4 address that an IPv6 address stands for, by any of the ways there are to write one."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if int(address) > 1 else None
    return None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
