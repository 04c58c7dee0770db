"""Figures for Prometheus, their port, the dashboard and the alerts that use them."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from spark_copilot.app.config import Settings
from spark_copilot.app.main import create_app
from spark_copilot.app.service import Service
from spark_copilot.app.watch.metrics import exposition
from tests.conftest import ROOT
from tests.servers import ended

SAMPLE = files("spark_copilot.app") / "samples" / "skewed-join.zstd"
GRAFANA = ROOT / "infra" / "grafana"
NAME = re.compile(r"\bspark_copilot_[a-z_]+")


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home, metrics_port=0)), raise_server_exceptions=False) as client:
        yield client


def samples(service: Service) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(service))
        for sample in family.samples
    }


def test_an_upload_is_counted_on_its_way(client: TestClient) -> None:
    service: Service = client.app.state.service  # type: ignore[attr-defined]
    before = samples(service)
    for _ in range(2):
        run = client.post("/api/v1/event-logs", content=SAMPLE.read_bytes()).json()
        ended(client, run["run_id"])
    client.get("/api/v1/runs/nobody")
    client.get("/nowhere/at/all")
    assert service._exporter is not None
    text = httpx.get(f"http://127.0.0.1:{service._exporter.port}/metrics", trust_env=False).text
    assert "nobody" not in text
    assert "nowhere" not in text
    after = samples(service)

    def grew(name: str, *labels: str) -> float:
        return after[name, labels] - before.get((name, labels), 0)

    assert grew("spark_copilot_requests_total", "POST", "/api/v1/event-logs", "2xx") == 2
    assert grew("spark_copilot_requests_total", "GET", "unmatched", "4xx") == 1
    assert grew("spark_copilot_upload_bytes_total") == 2 * len(SAMPLE.read_bytes())
    assert grew("spark_copilot_cache_lookups_total", "analysis", "hit") == 1
    assert grew("spark_copilot_refusals_total", "not-found") == 2
    assert grew("spark_copilot_analyses_total", "done") == 1
    assert grew("spark_copilot_analysis_seconds_count", "analyse") == 1
    assert after["spark_copilot_jobs", ("done",)] == 1
    assert after["spark_copilot_database_up", ()] == 1


def test_i11_metrics_are_not_on_the_public_port(client: TestClient) -> None:
    assert client.get("/metrics").status_code == 404


def test_the_dashboard_and_the_alerts_use_figures_that_exist(client: TestClient) -> None:
    text = exposition(client.app.state.service)  # type: ignore[attr-defined]
    known = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE spark_copilot")}
    known |= {f"{name}_{end}" for name in known for end in ("bucket", "count", "sum")}
    board = json.loads((GRAFANA / "dashboard.json").read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids)) >= 8
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((GRAFANA / "alerts.yaml").read_text(encoding="utf-8"))
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert set(NAME.findall(" ".join(asked))) <= known


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    return found


def test_every_alert_is_seen_to_fire_and_to_be_quiet() -> None:
    rules = yaml.safe_load((GRAFANA / "alerts.yaml").read_text(encoding="utf-8"))
    named = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    trouble, good_day = yaml.safe_load((GRAFANA / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    assert {test["alertname"] for test in trouble["alert_rule_test"] if test["exp_alerts"]} == named
    assert {test["alertname"] for test in good_day["alert_rule_test"] if not test["exp_alerts"]} == named


def test_promtool_takes_what_the_dashboard_asks(promtool: str, tmp_path: Path) -> None:
    board = json.loads((GRAFANA / "dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(asked)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_alerts(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", str(GRAFANA / "alerts.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [promtool, "test", "rules", str(GRAFANA / "alerts.test.yaml")], capture_output=True, text=True, check=False, cwd=GRAFANA
    )
    assert done.returncode == 0, done.stdout + done.stderr
