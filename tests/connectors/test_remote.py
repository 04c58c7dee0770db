"""Where logs may be fetched from: what is an address, whom the settings name, and which addresses are never asked."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from spark_copilot.connectors import history_server
from spark_copilot.connectors.remote import AddressRefused, Allowed, BadSource, ImportNotAllowed, SourceUnavailable, place
from spark_copilot.rules_engine.errors import CopilotError, UsageError


@pytest.mark.parametrize(
    "url",
    [
        "", "history", "//history/x", "file:///etc/passwd", "ftp://h/x", "gopher://h:70/_x", "data:text/plain,x", "s3:bucket", "s3:///key", "s3://UPPER/key",
        "http://user@history/", "http://user:word@history/", "http://history@169.254.169.254/", "http://history:80@169.254.169.254/", "s3://key:secret@bucket/log",
        "http://history/?u=http://169.254.169.254", "http://history/#@169.254.169.254", "http://history\\@169.254.169.254/", "http://history/%2e%2e/x",
        "http://history /", "http://history/\r\nHost: x", "http://history/\tx", "http://hist\u200bory/", "http://hist\uff0eory/", "http://169。254。169。254/",
        "http://history/a/../b", "s3://bucket/../other/log", "s3://bucket/a/./b", "http://history:99999/", "http://history:0/", "http://history:port/", "http://[::1/",
        "http://[fe80::1%25eth0]/", "http://-history/", "s3://bucket:9000/key", "s3://b/key", "http://" + "a" * 3_000,
    ],
)  # fmt: skip
def test_i5_what_is_no_address_of_a_log(url: str) -> None:
    with pytest.raises(BadSource):
        place(url)


@pytest.mark.parametrize(
    ("url", "text", "key"),
    [
        ("s3://logs/ev/app-1.zstd", "s3://logs/ev/app-1.zstd", "ev/app-1.zstd"),
        ("gs://logs/ev/eventlog_v2_app-1/", "gs://logs/ev/eventlog_v2_app-1", "ev/eventlog_v2_app-1"),
        ("az://logs/größe", "az://logs/größe", "größe"),
        ("HTTP://History.Example.COM:18080/", "http://history.example.com:18080", ""),
        ("https://history:443/sub/path", "https://history/sub/path", "sub/path"),
        ("http://[::1]:18080", "http://[::1]:18080", ""),
    ],
)
def test_what_is_one(url: str, text: str, key: str) -> None:
    found = place(url)
    assert (found.text, found.key) == (text, key)


LISTED = Allowed.of("s3://logs, s3://shared/team-a, https://history.example.com, http://history:18080/spark, http://10.1.2.3:18080", "")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("s3://logs/x", True), ("s3://logs2/x", False), ("gs://logs/x", False), ("s3://shared/team-a/x", True), ("s3://shared/team-a", True),
        ("s3://shared/team-ab/x", False), ("s3://shared/x", False), ("https://history.example.com", True), ("https://history.example.com:443/", True),
        ("http://history.example.com", False), ("https://history.example.com:8443", False), ("https://history.example.com.evil.example", False),
        ("https://evil.example/history.example.com", False), ("https://history.example.com./", None), ("http://history:18080/spark", True),
        ("http://history:18080/spark/x", True), ("http://history:18080/", False), ("http://history:18080/sparks", False), ("http://10.1.2.3:18080", True),
        ("http://10.1.2.4:18080", False), ("http://167838211:18080", False), ("http://0xa010203:18080", False), ("http://10.66051:18080", False),
    ],
)  # fmt: skip
def test_only_places_that_the_settings_name(url: str, allowed: bool | None) -> None:
    if allowed:
        LISTED.check(place(url))
        return
    with pytest.raises(BadSource if allowed is None else ImportNotAllowed):
        LISTED.check(place(url))


def test_none_named_is_none_allowed() -> None:
    with pytest.raises(ImportNotAllowed, match="nowhere") as refused:
        Allowed().check(place("s3://logs/x"))
    assert "SPARK_COPILOT_IMPORT_FROM" in refused.value.hint


@pytest.mark.parametrize(
    ("places", "networks"), [("nonsense", ""), ("http://u:p@h", ""), ("", "10.0.0.0/99"), ("", "10.0.0.1/8"), ("", "home")]
)
def test_settings_that_cannot_be_read_are_said_to_be(places: str, networks: str) -> None:
    with pytest.raises(UsageError, match="SPARK_COPILOT_IMPORT"):
        Allowed.of(places, networks)


NEVER = [
    "169.254.169.254", "169.254.170.2", "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "240.0.0.1", "168.63.129.16", "100.100.100.200",
    "192.0.0.192", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:0.0.0.0", "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe:0:0:5601:5601", "::169.254.169.254",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "::1", "fc00::1", "fd12::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::1", "2001:db8::1", "::127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("found", NEVER)
def test_i4_addresses_that_nothing_is_fetched_from(found: str) -> None:
    everything = Allowed.of(f"http://{found}" if found[0].isdigit() and ":" not in found else "", "0.0.0.0/0, ::/0")
    for host in ("history", found, f"[{found}]"):
        with pytest.raises(AddressRefused):
            everything.address(host, found)


@pytest.mark.parametrize("found", PRIVATE)
def test_private_addresses_only_where_their_network_is_named(found: str) -> None:
    with pytest.raises(AddressRefused):
        LISTED.address("history", found)
    assert Allowed.of("", "0.0.0.0/0, ::/0").address("history", found)


def test_public_addresses_and_the_very_address_that_is_named() -> None:
    assert LISTED.address("history", "93.184.216.34") == "93.184.216.34"
    assert LISTED.address("history", "2606:2800:220:1::1") == "2606:2800:220:1::1"
    assert LISTED.address("10.1.2.3", "10.1.2.3") == "10.1.2.3"
    assert Allowed.of("", "10.0.0.0/8").address("history", "::ffff:10.2.3.4")
    with pytest.raises(AddressRefused):
        Allowed.of("", "10.0.0.0/8").address("history", "192.168.0.1")


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A web server that says one thing; its port, and the requests it got."""
    got: list[bytes] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    got.append(peer.recv(65_536))
                    peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], got
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


def fetched(url: str, allowed: Allowed, token: str | None = None) -> bytes:
    async def work() -> bytes:
        where = place(url)
        async with history_server.logs(where, history_server.logs_path(where, "app-1", "1"), allowed, token=token) as (_, pieces):
            return b"".join([piece async for piece in pieces])

    return asyncio.run(work())


def test_a_name_is_asked_at_the_address_that_was_checked_and_by_its_own_name() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nzip") as (port, got):
        assert fetched(f"http://localhost:{port}/base", Allowed.of("", "127.0.0.0/8, ::1/128"), token="the-token") == b"zip"
    request = got[0].decode()
    assert request.startswith("GET /base/api/v1/applications/app-1/1/logs HTTP/1.1\r\n")
    assert f"\r\nHost: localhost:{port}\r\n" in request
    assert "\r\nAuthorization: Bearer the-token\r\n" in request


def test_a_name_that_leads_to_this_machine_is_not_asked() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (port, got):
        for host in ("localhost", socket.gethostname(), "2130706433", "0x7f000001", "0177.0.0.1", "127.1"):
            with pytest.raises((AddressRefused, SourceUnavailable, BadSource)):  # a resolver need not know the odd ways to write one
                fetched(f"http://{host}:{port}", Allowed())
    assert got == []


def test_i4_a_name_that_changes_its_address_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # The one thing that cannot be had on loopback: a name server of somebody else, which answers otherwise the second time.
    answers = [
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))],
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 0))],
    ]
    asked: list[object] = []

    def resolve(host: object, *rest: object, **more: object) -> object:
        asked.append(host)
        return answers[min(len(asked), 2) - 1]

    real = socket.getaddrinfo
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nzip") as (port, _):
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *rest, **more: (resolve if host == "rebinding.example" else real)(host, *rest, **more)
        )
        assert fetched(f"http://rebinding.example:{port}", Allowed.of("", "127.0.0.0/8")) == b"zip"
    assert asked == ["rebinding.example"]
    with pytest.raises(AddressRefused):
        fetched("http://rebinding.example", Allowed.of("", "0.0.0.0/0"))


@pytest.mark.parametrize(
    "status",
    ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect", "300 Multiple Choices"],
)
@pytest.mark.parametrize("to", ["http://169.254.169.254/latest/meta-data/", "//10.0.0.1/", "/elsewhere", "file:///etc/passwd"])
def test_i4_redirects_are_not_followed(status: str, to: str) -> None:
    with answering(f"HTTP/1.1 {status}\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()) as (port, got):
        with pytest.raises(ImportNotAllowed, match="another address"):
            fetched(f"http://127.0.0.1:{port}", Allowed())
        assert len(got) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "source-not-found"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "source-forbidden"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "source-unavailable"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "source-unavailable"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "source-unavailable"),
        (b"nonsense\r\n\r\n", "source-unavailable"),
        (b"", "source-unavailable"),
    ],
)
def test_answers_without_logs(answer: bytes, code: str) -> None:
    with answering(answer) as (port, _), pytest.raises(CopilotError) as failed:
        fetched(f"http://127.0.0.1:{port}", Allowed())
    assert failed.value.code == code


@pytest.mark.parametrize("word", ["", "..", ".", "a/b", "a?b", "a#b", "a b", "a%2fb", "a\r\nb", "é", "x" * 300])
def test_ids_stay_ids(word: str) -> None:
    where = place("http://history:18080")
    for application, attempt in ((word, None), ("app-1", word)):
        with pytest.raises(BadSource):
            history_server.logs_path(where, application, attempt)
