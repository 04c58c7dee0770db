"""The MCP server driven by a real client: stdio and HTTP, the old handshake and the revision without one."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from mcp import Client, StdioServerParameters

from spark_copilot.app.mcp_server import build, http_app
from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.orchestration.chat.tools import RunTools
from spark_copilot.orchestration.runs import LogRuns

LOGS = Path(__file__).parents[1] / "data" / "laboratory"
NAMED = [LOGS / "big-sort.zstd", LOGS / "big-sort-room.zstd"]
Mode = Literal["legacy", "auto", "2026-07-28"]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> RunTools:
    return RunTools(LogRuns(NAMED), KnowledgePlace(tmp_path_factory.mktemp("home")))


def serve(tools: RunTools, token: str | None = None) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    app = http_app(build(tools), "127.0.0.1", port, token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/mcp"
    server.should_exit = True
    server.force_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def address(tools: RunTools) -> Iterator[str]:
    yield from serve(tools)


@pytest.fixture(scope="module")
def guarded(tools: RunTools) -> Iterator[str]:
    yield from serve(tools, "a-long-token")


async def drive(client: Client) -> None:
    async with client:
        listed = (await client.list_tools()).tools
        assert len(listed) == 14
        for tool in listed:
            assert tool.output_schema is not None
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint
            assert "path" not in tool.input_schema["properties"]
        runs = (await client.call_tool("list_runs", {})).structured_content
        assert runs is not None
        by_name = {run["name"]: run["run_id"] for run in runs["runs"]}
        summary = await client.call_tool("run_summary", {"run_id": by_name["big-sort"]})
        assert summary.structured_content is not None
        assert summary.structured_content["findings"][0]["key"] == "spill@stage:0.0"
        compared = await client.call_tool("compare", {"baseline_run_id": by_name["big-sort"], "candidate_run_id": by_name["big-sort-room"]})
        assert compared.structured_content is not None
        assert {"key": "spark.memory.fraction", "from": "0.08", "to": None} in compared.structured_content["settings"]
        wrong = await client.call_tool("run_summary", {"run_id": "../../etc/passwd"})
        assert wrong.is_error
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert prompts == {"investigate_failure", "explain_slow_run", "compare_runs"}
        told: Any = (await client.get_prompt("explain_slow_run", {"run_id": by_name["big-sort"]})).messages[0].content
        assert by_name["big-sort"] in told.text
        read: Any = (await client.read_resource(f"run://{by_name['big-sort']}/summary")).contents[0]
        assert '"verdict"' in read.text


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_over_http(address: str, mode: Mode) -> None:
    await drive(Client(address, mode=mode))


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_over_stdio(mode: Mode, home: Path) -> None:
    arguments = ["-m", "spark_copilot", "mcp", *map(str, NAMED)]
    await drive(Client(StdioServerParameters(command=sys.executable, args=arguments, env={"SPARK_COPILOT_HOME": str(home)}), mode=mode))


async def test_every_tool_answers_through_the_protocol(tools: RunTools) -> None:
    run_id = tools.list_runs().runs[-1].run_id
    calls: dict[str, dict[str, Any]] = {
        "findings": {"run_id": run_id}, "finding": {"run_id": run_id, "key": "spill@stage:0.0"}, "stages": {"run_id": run_id, "sort_by": "disk_spilled_bytes"},
        "stage": {"run_id": run_id, "stage_id": 0}, "sql_plan": {"run_id": run_id}, "executors": {"run_id": run_id}, "settings": {"run_id": run_id, "contains": "sql"},
        "whatif": {"run_id": run_id, "executors": [1, 2]}, "cost": {"run_id": run_id, "price_per_core_hour": 0.05}, "gate_snippet": {"text": "spark.executor.memry 8g"},
        "search": {"query": "spill"},
    }  # fmt: skip
    async with Client(build(tools)) as client:
        for name, arguments in calls.items():
            result = await client.call_tool(name, arguments)
            assert not result.is_error, (name, result.content)
            assert result.structured_content


INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}  # fmt: skip
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def post(url: str, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.post(url, json=body or INITIALIZE, headers={**HEADERS, **headers}, timeout=20)


def test_the_old_revision_answers_plain_requests(address: str) -> None:
    assert post(address).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, (403,)), ({"Host": "evil.example"}, (403, 421)), ({"Mcp-Session-Id": "someone-elses"}, (404,))],
)
def test_foreign_requests_are_refused(address: str, headers: dict[str, str], status: tuple[int, ...]) -> None:
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}} if "Mcp-Session-Id" in headers else None
    assert post(address, body, **headers).status_code in status


def test_a_token_is_asked_for(guarded: str) -> None:
    assert post(guarded).status_code == 401
    assert post(guarded, Authorization="Bearer wrong").status_code == 401
    assert post(guarded, Authorization="Basic a-long-token").status_code == 401
    assert post(guarded, Authorization="Bearer a-long-token").status_code == 200


def test_large_bodies_are_refused(address: str) -> None:
    assert httpx.post(address, content=b" " * (8 << 20), headers=HEADERS, timeout=20).status_code == 413


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["/no/such/log"], 3), ([str(NAMED[0]), "--http", "0", "--host", "0.0.0.0"], 2)])
def test_errors_are_said(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    from spark_copilot.app.cli.main import run

    assert run(["mcp", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err
