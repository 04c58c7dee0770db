"""Commands on logs that lie elsewhere: an S3 server and a History Server, which is our own, both real and on loopback."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from spark_copilot.app.cli.fetched import _named, application_url
from spark_copilot.app.cli.main import run
from spark_copilot.connectors.remote import BadSource
from spark_copilot.rules_engine.errors import UsageError
from tests.app.test_cli import modules_after
from tests.object_stores import put
from tests.servers import history_server

SKEWED = Path(str(files("spark_copilot.app"))) / "samples" / "skewed-join.zstd"
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bucket(s3_bucket: str) -> str:
    """A bucket with a log and with what is none."""
    put(s3_bucket, "ev/skewed.zstd", SKEWED.read_bytes())
    put(s3_bucket, "ev/junk", b"<html>not a log</html>\n" * 100)
    return s3_bucket


@pytest.fixture
def here(capsys: Said) -> str:
    """The report on the same log from this machine's disk."""
    assert run(["analyze", str(SKEWED), "--format", "json"]) == 0
    return capsys.readouterr().out


def nothing_left(home: Path) -> bool:
    return list((home / "fetched").iterdir()) == []


@pytest.mark.parametrize(
    ("scheme", "allowed"), [("s3", "s3://logs/ev"), ("s3a", "s3://logs"), ("s3", "")], ids=["listed", "s3a", "no list"]
)
def test_a_log_in_a_store_is_analysed_as_one_on_disk(
    scheme: str, allowed: str, bucket: str, here: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.setenv("SPARK_COPILOT_IMPORT_FROM", allowed)
    address = f"{scheme}://logs/ev/skewed.zstd"
    assert run(["analyze", address, "--format", "json"]) == 0
    assert capsys.readouterr().out == here
    assert run(["whatif", address, "--executors", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["points"]
    assert nothing_left(home)


@pytest.mark.parametrize(
    ("address", "allowed", "code", "word"),
    [
        pytest.param("s3://logs/ev/skewed.zstd", "s3://logs/other", 2, "not fetched from there", id="another place allowed"),
        pytest.param("s3://logs/ev/none", "s3://logs", 3, "no such object", id="no such log"),
        pytest.param("s3://nowhere/ev/none", "s3://nowhere", 3, "no such bucket", id="no such bucket"),
        pytest.param("s3://logs/ev/junk", "s3://logs", 3, "not a Spark event log", id="not a log"),
        pytest.param("s3://logs", "s3://logs", 3, "no log in it", id="a whole bucket"),
        pytest.param("hdfs://name/log", "s3://logs", 3, "'hdfs'", id="not fetched from"),
        pytest.param("http://127.0.0.1:9/", "http://127.0.0.1:9", 3, "names no application", id="a server without an application"),
        pytest.param("http://127.0.0.1:9/history/app-1", "http://127.0.0.1:9", 5, "cannot be asked", id="nobody answers"),
        pytest.param("http://localhost:9/history/app-1", "http://localhost:9", 2, "private network", id="a name that leads inside"),
        pytest.param("http://169.254.169.254/history/x", "http://169.254.169.254", 2, "nothing is fetched from", id="metadata"),
        pytest.param("http://169.254.169.254/history/x", "", 2, "nothing is fetched from", id="metadata, no list"),
        pytest.param("http://localhost:9/history/app-1", "", 5, "cannot be asked", id="a name that leads inside, no list"),
    ],
)
def test_what_cannot_be_had(
    address: str, allowed: str, code: int, word: str, bucket: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.setenv("SPARK_COPILOT_IMPORT_FROM", allowed)
    output = home / "report.json"
    assert run(["analyze", address, "--format", "json", "--output", str(output)]) == code
    out, err = capsys.readouterr()
    assert (out, output.exists()) == ("", False)
    assert word in " ".join(err.split())
    assert not (home / "fetched").exists() or nothing_left(home)


def test_no_more_is_fetched_than_an_upload_may_have(bucket: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    monkeypatch.setenv("SPARK_COPILOT_IMPORT_FROM", bucket)
    monkeypatch.setenv("SPARK_COPILOT_MAX_UPLOAD_BYTES", "1000")
    assert run(["analyze", f"{bucket}/ev/skewed.zstd"]) == 3
    assert "1000 bytes" in " ".join(capsys.readouterr().err.split())
    assert nothing_left(home)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A History Server's address, and an application of it."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "logs").mkdir()
    (folder / "logs" / SKEWED.name).write_bytes(SKEWED.read_bytes())
    with history_server(folder / "home", folder / "logs") as client:
        yield str(client.base_url).rstrip("/"), str(client.get("/api/v1/applications").json()[0]["id"])


def test_an_application_of_a_history_server(
    history: tuple[str, str], here: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    server, application = history
    monkeypatch.setenv("SPARK_COPILOT_IMPORT_FROM", server)
    for named in ([f"{server}/history/{application}/stages/"], [f"{server}/api/v1/applications/{application}/logs"],
                  [application, "--history-server", f"{server}/"]):  # fmt: skip
        assert run(["analyze", *named, "--format", "json"]) == 0, capsys.readouterr().err
        assert json.loads(capsys.readouterr().out)["findings"] == json.loads(here)["findings"]
    assert run(["analyze", "app-none", "--history-server", server]) == 3
    assert "no such application" in " ".join(capsys.readouterr().err.split())
    assert nothing_left(home)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("http://h:18080/history/app-1/jobs/", ("http://h:18080", "app-1", None)),
        ("http://h:18080/history/app-1/2/stages/stage/?id=3&attempt=0", ("http://h:18080", "app-1", "2")),
        ("https://h/gateway/history/app-1?x=1", ("https://h/gateway", "app-1", None)),
        ("https://h/history/api/v1/applications/app-1/1/logs", ("https://h/history", "app-1", "1")),
        ("HTTPS://h/api/v1/applications/app-1", ("HTTPS://h", "app-1", None)),
        ("s3n://bucket/history/app-1", ("s3://bucket/history/app-1", None, None)),
    ],
)
def test_what_an_address_names(address: str, named: tuple[str, str | None, str | None]) -> None:
    assert _named(address) == named


@pytest.mark.parametrize("address", ["http://h", "http://h/history", "http://h/?u=/history/app-1", "http://h/#/history/app-1"])
def test_addresses_without_an_application(address: str) -> None:
    with pytest.raises(BadSource):
        _named(address)


@pytest.mark.parametrize("application", ["", "a/b", "a/1/2", "a/", "/1", "s3://logs/x"])
def test_what_is_no_application(application: str) -> None:
    with pytest.raises(UsageError):
        application_url("http://h", application)


def test_options_that_do_not_fit(capsys: Said) -> None:
    assert run(["analyze", "--history-server", "http://h"]) == 2
    assert run(["analyze", "s3://logs/x", "--watch"]) == 2
    assert "--watch follows a log on this machine" in " ".join(capsys.readouterr().err.split())


def test_fetching_loads_no_database_and_no_server(bucket: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_COPILOT_IMPORT_FROM", bucket)
    loaded = modules_after(f"from spark_copilot.app.cli.main import run; assert run(['analyze', '{bucket}/ev/skewed.zstd']) == 0")
    assert not loaded & {"sqlalchemy", "fastapi", "chromadb", "langchain", "duckdb"}
    assert "obstore" in loaded
