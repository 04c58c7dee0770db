"""What a log gives away is not kept (I6): database, run tables, reports, and the copy of the log when one is kept."""

import json
import zlib
from importlib.resources import files
from pathlib import Path

import duckdb
import pytest
from backports import zstd
from sqlalchemy import text
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.connectors.eventlog import read_run
from spark_copilot.storage.database import Database
from tests.servers import ended

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
PLANTED = ("pLanted8secretKeyValue77", "hunter2hunter2", "AKIAZZ7PLANTED8KEY9Q")
HARMLESS = "planted.harmless.shuffle.partitions"


def planted() -> bytes:
    """The sample with secrets in its settings, its command line, and in the text of an exception that tells nothing of it."""
    out = []
    for line in zstd.decompress(SAMPLE.read_bytes()).splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerEnvironmentUpdate":
            event["Spark Properties"]["spark.hadoop.fs.s3a.secret.key"] = PLANTED[0]
            event["Spark Properties"]["spark.hadoop.fs.s3a.access.key"] = PLANTED[2]
            event["Spark Properties"][HARMLESS] = "200"
            event["System Properties"]["sun.java.command"] = (
                f"org.apache.spark.deploy.SparkSubmit --conf spark.db.password={PLANTED[1]} job.py"
            )
        if event["Event"] == "SparkListenerStageCompleted":
            event["Stage Info"]["Details"] = f"connecting with {PLANTED[0]} failed"
        out.append(json.dumps(event).encode())
    return b"\n".join(out) + b"\n"


def everything(home: Path) -> dict[str, str]:
    """All that lies under the home folder, unpacked, by place."""
    found: dict[str, str] = {}
    for path in home.rglob("*"):
        if path.suffix == ".parquet":
            found[str(path)] = str(duckdb.connect(":memory:").execute(f"SELECT * FROM read_parquet('{path}')").fetchall())
        elif path.suffix == ".zstd":
            found[str(path)] = zstd.decompress(path.read_bytes()).decode()
        elif path.is_file():
            found[str(path)] = path.read_bytes().decode(errors="replace")
    database = Database(None, home)
    with database.engine.connect() as connection:
        for (table,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')).all():
                found.setdefault(f"table {table}", "")
                found[f"table {table}"] += str([zlib.decompress(v).decode() if isinstance(v, bytes) else v for v in row])
    database.close()
    return found


@pytest.mark.parametrize("keep", [False, True])
def test_i6_planted_secrets_are_found_nowhere(home: Path, keep: bool) -> None:
    with TestClient(create_app(Settings(home=home, keep_originals=keep)), raise_server_exceptions=False) as client:
        run = ended(client, client.post("/api/v1/event-logs", content=planted()).json()["run_id"])
        assert run["status"] == "done"
        application = client.get("/api/v1/applications").json()[0]["id"]
        answers = (
            client.get(f"/api/v1/applications/{application}/environment").text + client.get(f"/api/v1/runs/{run['run_id']}/report").text
        )
        logs = client.get(f"/api/v1/applications/{application}/logs").status_code
    assert logs == (200 if keep else 404)
    places = {**everything(home), "answers": answers}
    for secret in PLANTED:
        assert [place for place, held in places.items() if secret in held] == []
    assert any(HARMLESS in held for held in places.values())
    originals = list(home.rglob("original.zstd"))
    assert len(originals) == keep
    for original in originals:
        assert read_run(original).app.name == "skewed-join"
