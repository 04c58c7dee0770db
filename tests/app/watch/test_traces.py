"""Spans of a real upload and its analysis, and of decorated jobs; nothing of it where nobody asked for traces."""

import json
import subprocess
import sys
from importlib.resources import files

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"

TRACED = """
import json, sys, tempfile
from pathlib import Path
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from spark_copilot.connectors import tracing

spans = InMemorySpanExporter()
end = tracing.configure("test", spans)

from starlette.testclient import TestClient
from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from tests.servers import ended, until

with tempfile.TemporaryDirectory() as home, TestClient(create_app(Settings(home=Path(home)))) as client:
    log = Path(sys.argv[1]).read_bytes()
    run = client.post("/api/v1/event-logs", content=log, params={"filename": "x"}, headers={"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}).json()
    assert ended(client, run["run_id"])["status"] == "done"
    until(lambda: any(s.name == "analysis" for s in spans.get_finished_spans()))

class Context: applicationId = "app-1"
class Session: sparkContext = Context()

@tracing.trace_spark_operation("read orders", rows=3)
def read(): return 3

@tracing.trace_spark_job_execution
def job(spark): return read()

@tracing.trace_spark_operation
def broken(): raise ValueError("password=hunter2secret")

assert job(Session()) == 3
try: broken()
except ValueError: pass
out = [
    {"name": s.name, "id": s.context.span_id, "trace": f"{s.context.trace_id:032x}", "parent": s.parent and s.parent.span_id, "attributes": dict(s.attributes), "events": len(s.events), "status": s.status.status_code.name, "text": s.to_json()}
    for s in spans.get_finished_spans()
]
print(json.dumps(out))
end()
"""

QUIET = """
import sys
sys.modules["opentelemetry"] = None  # as where it is not installed
from spark_copilot.app.cli.main import run
assert run(["analyze", sys.argv[1]]) == 0
heavy = ("opentelemetry.sdk", "opentelemetry.trace", "prometheus_client", "structlog", "fastapi", "sqlalchemy", "strawberry")
sys.stderr.write(" ".join(sorted(set(heavy) & set(sys.modules))))
"""


def test_request_job_process_and_agents_are_one_trace() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", TRACED, str(SAMPLE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spans = json.loads(done.stdout.splitlines()[-1])
    by_name = {span["name"]: span for span in spans}
    upload, analysis = by_name["POST /api/v1/event-logs"], by_name["analysis"]
    assert upload["trace"] == "a" * 32 == analysis["trace"]
    assert analysis["parent"] == upload["id"]
    agents = {"metadata", "partition", "skew", "delta", "runtime", "cost", "reason"}
    for name in ("read", "analyse", "store", *(f"agent {agent}" for agent in agents)):
        assert (by_name[name]["trace"], by_name[name]["parent"]) == ("a" * 32, analysis["id"]), name
    assert analysis["attributes"]["outcome"] == "done"
    assert by_name["spark.operation read orders"]["parent"] == by_name["spark.job job"]["id"]
    assert by_name["spark.job job"]["attributes"] == {"spark.application.id": "app-1", "spark.job.outcome": "succeeded"}
    broken = by_name["spark.operation broken"]
    assert (broken["status"], broken["attributes"], broken["events"]) == ("ERROR", {"error.type": "ValueError"}, 0)
    everything = " ".join(span["text"] for span in spans)
    for secret in ("hunter2secret", "spark.sql.", "SELECT", "filename"):
        assert secret not in everything


def test_analyze_loads_nothing_of_the_service() -> None:
    # Without OpenTelemetry: where it is installed, langsmith loads it by itself.
    done = subprocess.run([sys.executable, "-c", QUIET, str(SAMPLE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
