"""`mcp`: the tools for AI assistants, over stdio or HTTP."""

from typing import Annotated

import typer

from spark_copilot.rules_engine.errors import UsageError


def command(
    logs: Annotated[list[str] | None, typer.Argument(help="Event logs, or directories of them.", show_default=False)] = None,
    log_dir: Annotated[
        list[str] | None, typer.Option(help="A directory of event logs; may be repeated. New logs appear by themselves.")
    ] = None,
    http: Annotated[int | None, typer.Option(help="Serve streamable HTTP on this port instead of stdio; the address is /mcp.")] = None,
    host: Annotated[str, typer.Option(help="Address for --http; another than loopback needs SPARK_COPILOT_MCP_TOKEN.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name this server is reached by over HTTP; may be repeated.")
    ] = None,
) -> None:
    """Stdio by default: standard output carries the protocol alone. Tools are read-only and know only the runs named here."""
    from spark_copilot.app.addresses import is_loopback
    from spark_copilot.app.cli.logs import log_runs
    from spark_copilot.app.config import load
    from spark_copilot.app.wiring import place_of

    names = [*(logs or ()), *(log_dir or ())]
    if not names:
        raise UsageError("no log is named", hint="spark-copilot mcp LOG… or spark-copilot mcp --log-dir DIR")
    settings = load()
    token = settings.mcp_token.get_secret_value() if settings.mcp_token is not None else None
    if http is not None and not is_loopback(host) and not token:
        raise UsageError(f"{host} is not a loopback address, and there is no token", hint="set SPARK_COPILOT_MCP_TOKEN, or bind 127.0.0.1")
    runs = log_runs(names)

    from spark_copilot.app.mcp_server import build, http_app
    from spark_copilot.orchestration.chat.tools import RunTools

    server = build(RunTools(runs, place_of(settings)))
    if http is None:
        server.run("stdio")
        return
    import uvicorn

    typer.echo(f"MCP at http://{host}:{http}/mcp", err=True)
    uvicorn.run(http_app(server, host, http, token, allow_host or ()), host=host, port=http, log_level="warning", access_log=False)
