"""Clients written for the History Server, pointed at ours: every tool of kubeflow's MCP server and the commands of `spark-history-cli`.

`make clients` fetches the packages and runs these tests. Beside a real History Server (`make parity` installs it) every answer must be the same.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from benchmarks.servers import Server, history_server, ours
from tests.parity.__main__ import IGNORED, ask, settled

PARTS = Path(os.environ.get("SPARK_COPILOT_PARTS", Path.home() / ".cache" / "spark-copilot-parts"))
DATA = Path(__file__).resolve().parent.parent / "data"
LOGS = (DATA / "laboratory" / "failing-job.zstd", DATA / "laboratory" / "come-and-go.zstd", DATA / "blocks" / "local-1795828286859.zstd")
"""Failed tasks and SQL; executors that leave; cached RDDs."""
SECTIONS = ("runtime", "spark_properties", "system_properties", "hadoop_properties", "metrics_properties", "classpath_entries")
IN_SNAKES = {"last_updated", "last_updated_epoch", "log_source_name", "log_source_full_path"}

pytestmark = pytest.mark.xdist_group("history-server")


@pytest.fixture(scope="module")
def clients() -> Path:
    """The folder of the clients' commands."""
    if os.environ.get("SPARK_COPILOT_CLIENTS") != "1":
        pytest.skip("takes minutes: make clients")
    found = PARTS / "shs" / "venv" / "bin"
    if not (found / "spark-mcp").exists():
        pytest.skip("clients of the History Server are not installed: run `make clients` (needs uv and Python 3.12)")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of logs."""
    place = tmp_path_factory.mktemp("logs")
    for log in LOGS:
        shutil.copy(log, place / log.name)
    return place


@pytest.fixture(scope="module")
def here(folder: Path, clients: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Ours over it."""
    with ours(folder, tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def real(folder: Path, clients: Path) -> Iterator[Server]:
    """Spark's own over it."""
    wanted = (DATA.parent.parent / "requirements" / "parity.txt").read_text().partition("pyspark==")[2].split()[0]
    python = PARTS / f"pyspark-{wanted}" / "venv" / "bin" / "python"
    if not python.exists() or shutil.which("java") is None:
        pytest.skip(f"no History Server {wanted} to compare with: `make parity` installs it (needs Java 17 and uv)")
    with history_server(python, folder, memory="1g") as server:
        settled(server)
        yield server


@asynccontextmanager
async def spark_mcp(clients: Path, place: Path, **servers: Server) -> AsyncIterator[Client]:
    """kubeflow's MCP server as a process that knows these History Servers by name; a client of it over stdio."""
    environment = {f"SHS_SERVERS__{name.upper()}__URL": server.url.removesuffix("/api/v1") for name, server in servers.items()}
    environment |= {"SHS_MCP__TRANSPORT": "stdio", "XDG_CONFIG_HOME": str(place), "HOME": str(place)}
    command = StdioServerParameters(command=str(clients / "spark-mcp"), env=environment, cwd=str(place))
    async with Client(command, mode="legacy") as client:
        yield client


def questions(server: Server) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every tool with arguments, over all applications of a server."""
    apps = [app["id"] for app in ask(f"{server.url}/applications")]
    yield from (
        ("list_applications", given)
        for given in ({}, {"status": ["completed"]}, {"limit": 2}, {"min_date": "2026-01-01"}, {"app_id": apps[0]})
    )
    yield "list_applications", {"max_end_date": "2020-01-01"}
    for number, app in enumerate(apps):
        named, other = {"app_id": app}, apps[(number + 1) % len(apps)]
        pair = {"app_id1": app, "app_id2": other}
        base = f"{server.url}/applications/{app}"
        stages = [stage["stageId"] for stage in ask(f"{base}/stages")]
        queries = [query["id"] for query in ask(f"{base}/sql?details=false&length=100")]
        yield from (
            ("list_jobs", named | given)
            for given in ({}, {"status": ["FAILED"]}, {"status": ["succeeded"]}, {"job_id": 0}, {"offset": 1, "length": 2})
        )
        yield from (
            ("list_stages", named | given)
            for given in ({}, {"status": ["COMPLETE"]}, {"with_summaries": True}, {"sort_by": "duration", "length": 3})
        )
        for stage in stages[:12]:
            yield from (
                ("get_stage", named | {"stage_id": stage, **given})
                for given in ({}, {"with_summaries": True}, {"attempt_id": 0, "with_summaries": True})
            )
            yield "list_stage_task_failures", named | {"stage_id": stage}
            yield "compare_stages", pair | {"stage_id1": stage, "stage_id2": 0}
        yield "get_stage", named | {"stage_id": 9_999}
        yield "get_environment", named
        yield from (("get_environment", named | {"section": section}) for section in SECTIONS)
        yield from (
            ("list_executors", named | given) for given in ({}, {"include_inactive": True}, {"executor_id": "driver"}, {"sort_by": "id"})
        )
        yield "get_executor_thread_dump", named | {"executor_id": "driver"}
        yield from (("list_sql_executions", named | given) for given in ({}, {"status": "COMPLETED"}, {"page_size": 1}, {"limit": 2}))
        for query in queries[:12]:
            yield "get_sql_execution", named | {"execution_id": query, "include_plan": True, "include_initial_plan": True}
            yield "get_sql_execution", named | {"execution_id": query, "include_aggregated_metrics": True, "include_stages": True}
        yield "get_sql_execution", named | {"execution_id": 9_999}
        yield "compare_sql_executions", pair | {"include_plan_diff": True}
        yield from ((tool, pair) for tool in ("compare_job_environments", "compare_job_performance"))
        yield from ((tool, named) for tool in ("get_executor_summary", "get_job_bottlenecks", "get_resource_usage_timeline"))


async def told(client: Client, tool: str, given: dict[str, Any], server: str) -> Any:
    """The tool's answer as values; where it fails, its words without the server's name and address."""
    result = await client.call_tool(tool, given | {"server": server})
    texts = [block.text for block in result.content if block.type == "text"]
    if result.is_error:
        return {
            "error": [text.partition("HTTP response headers")[0] for text in texts],
            "body": [text.partition("HTTP response body")[2] for text in texts],
        }
    return without_places([json.loads(text) for text in texts])


def without_places(value: Any) -> Any:
    """The value without where and when the log was found."""
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items() if key not in IGNORED | IN_SNAKES}
    return [without_places(one) for one in value] if isinstance(value, list) else value


async def test_every_mcp_tool_answers_alike(clients: Path, here: Server, real: Server, tmp_path: Path) -> None:
    asked: set[str] = set()
    differing, equal = [], 0
    async with spark_mcp(clients, tmp_path, ours=here, theirs=real) as client:
        for tool, given in questions(real):
            want, got = await told(client, tool, given, "theirs"), await told(client, tool, given, "ours")
            asked.add(tool)
            equal += want == got
            if want != got:
                differing.append(f"{tool} {given}: History Server {json.dumps(want)[:1500]}, here {json.dumps(got)[:1500]}")
        offered = {tool.name for tool in (await client.list_tools()).tools}
    assert not differing, f"{len(differing)} of {len(differing) + equal}:\n" + "\n".join(differing[:5])
    assert offered <= asked
    assert equal > 100


async def test_tools_tell_what_the_log_holds(clients: Path, here: Server, tmp_path: Path) -> None:
    async with spark_mcp(clients, tmp_path, ours=here) as client:
        asked = list(questions(here))
        answers = [(tool, given, await told(client, tool, given, "ours")) for tool, given in asked]
    refused = {tool for tool, _, answer in answers if "error" in answer}
    assert refused <= {"get_executor_thread_dump", "get_stage", "get_sql_execution", "compare_sql_executions"}
    failed = [answer for tool, given, answer in answers if tool == "list_jobs" and given.get("status") == ["FAILED"] and answer]
    assert failed


def command(clients: Path, server: Server, *words: str) -> tuple[int, Any]:
    """Exit code and output of `spark-history-cli --json`."""
    run = subprocess.run(
        [clients / "spark-history-cli", "--server", server.url.removesuffix("/api/v1"), "--json", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    output = run.stdout.replace(server.url, "").replace(server.url.removesuffix("/api/v1"), "")
    try:
        return run.returncode, without_places(json.loads(output))
    except ValueError:
        return run.returncode, output + run.stderr.replace(server.url, "")


def test_every_command_of_the_cli_answers_alike(clients: Path, here: Server, real: Server) -> None:
    app = next(one["id"] for one in ask(f"{real.url}/applications") if ask(f"{real.url}/applications/{one['id']}/jobs?status=failed"))
    cached = next(one["id"] for one in ask(f"{real.url}/applications") if ask(f"{real.url}/applications/{one['id']}/storage/rdd"))
    rdd = str(ask(f"{real.url}/applications/{cached}/storage/rdd")[0]["id"])
    lines: list[tuple[str, ...]] = [
        ("apps",), ("version",), ("app", app), ("attempts", app), *(("-a", app, *words) for words in (
            ("summary",), ("jobs",), ("jobs", "--status", "failed"), ("job", "0"), ("job-stages", "0"), ("stages",), ("stages", "--status", "failed"),
            ("stage", "0"), ("stage-summary", "0"), ("stage-tasks", "0"), ("stage-tasks", "0", "--sort-by", "runtime", "--length", "3"), ("executors",),
            ("executors", "--all"), ("env",), ("sql",), ("sql", "--length", "1"), ("sql", "0"), ("sql-plan", "0"), ("sql-plan", "0", "--view", "final"),
            ("sql-jobs", "0"), ("rdds",), ("processes",), ("attempt", "1"), ("job", "9999"), ("stage", "9999"),
        )), ("-a", cached, "rdds"), ("-a", cached, "rdd", rdd), ("-a", "app-none", "jobs"),
    ]  # fmt: skip
    differing = {words: both for words in lines if (both := (command(clients, real, *words), command(clients, here, *words)))[0] != both[1]}
    assert not differing
