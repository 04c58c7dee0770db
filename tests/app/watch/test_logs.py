"""What `serve` and `worker` log."""

import io
import json
import logging
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from spark_copilot.app.config import Settings
from spark_copilot.app.watch import logs
from tests.servers import ended, serving

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What is logged as JSON; logging is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers, root.level)
    stream = io.StringIO()
    logs.configure(Settings(log_format="json"), stream)
    yield stream
    root.handlers, root.level = before


def test_i6_secrets_are_masked_wherever_they_are(said: io.StringIO) -> None:
    log = logging.getLogger("spark_copilot.test")
    log.info(
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789",
        extra={"settings": {"spark.hadoop.fs.s3a.secret.key": "wJalrXUtnFEMI9"}},
    )
    try:
        raise ValueError("jdbc:postgresql://db/x?user=a&password=hunter2secret")
    except ValueError:
        log.exception("and it was wJalrXUtnFEMI9\r\nforged line")
    text = said.getvalue()
    assert [json.loads(line)["level"] for line in text.splitlines()] == ["info", "error"]
    assert "abcdefghijklmnopqrstuvwxyz" not in text
    assert "hunter2secret" not in text
    assert "wJalrXUtnFEMI9" not in text.splitlines()[0]


def test_i2_the_real_server_logs_json_with_the_request_and_the_run(home: Path) -> None:
    with serving(home) as (client, _):
        run = client.post(
            "/api/v1/event-logs", content=SAMPLE.read_bytes(), headers={"X-Request-ID": "asked-1"}, params={"filename": "x", "key": "hush"}
        ).json()
        assert ended(client, run["run_id"])["status"] == "done"
    lines = [json.loads(line) for line in (home / "serve.log").read_text().splitlines()]
    asked = next(line for line in lines if line.get("request_id") == "asked-1" and line["event"] == "request")
    assert (asked["method"], asked["path"], asked["status"], asked["tenant"]) == ("POST", "/api/v1/event-logs", 202, "local")
    done = next(line for line in lines if line["event"] == "analysis ends")
    assert (done["run_id"], done["outcome"], done["tenant"]) == (run["run_id"], "done", "local")
    assert "hush" not in json.dumps(lines)
