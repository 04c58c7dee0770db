"""`chat`: a conversation at the terminal; with piped input one question a line."""

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from spark_copilot.rules_engine.errors import CopilotError

if TYPE_CHECKING:
    from spark_copilot.orchestration.chat.threads import Chat, Going

HELP = "/runs lists the runs, /new begins anew, /long and /short set the length of answers, /quit ends."


def command(
    log: Annotated[list[str] | None, typer.Option("--log", help="An event log, or a directory of them; may be repeated.")] = None,
    long: Annotated[bool, typer.Option("--long", help="Up to 600 words an answer instead of 200.")] = False,
    thread: Annotated[str | None, typer.Option("--thread", help="Go on with a conversation, by its id.")] = None,
    output_format: Annotated[str, typer.Option("--format", help="text, or json: one object an answer.")] = "text",
    demo_model: Annotated[
        bool,
        typer.Option(
            "--demo-model", help="Talk through a stand-in for a model on loopback: no key, no network. Without --log: a sample run."
        ),
    ] = False,
) -> None:
    """Works without a model, from the runs' own numbers and the knowledge; SPARK_COPILOT_MODEL names one that puts them into words."""
    from importlib.resources import as_file, files

    from pydantic import SecretStr

    from spark_copilot.app.cli.logs import log_runs
    from spark_copilot.app.config import load
    from spark_copilot.app.wiring import chat_of
    from spark_copilot.orchestration.runs import FixedRuns
    from spark_copilot.rules_engine.errors import UsageError

    if output_format not in ("text", "json"):
        raise UsageError(f"no format {output_format!r}", hint="known: text, json")
    settings = load()
    with ExitStack() as held:
        if demo_model:
            from spark_copilot.app import demo_model as demo

            server = held.enter_context(demo.demo_model())
            settings = settings.model_copy(update={"model": demo.NAME, "model_url": server.url, "model_key": SecretStr("demo")})
            log = log or [str(held.enter_context(as_file(files("spark_copilot.app") / "samples" / "skewed-join.zstd")))]
        _talk(
            chat_of(settings, log_runs(log) if log else FixedRuns([])),
            has_log=bool(log),
            long=long,
            thread=thread,
            output_format=output_format,
        )


def _talk(chat: "Chat", *, has_log: bool, long: bool, thread: str | None, output_format: str) -> None:
    at_terminal = sys.stdin.isatty()
    thread_known = thread is not None
    if thread is not None:
        chat.history(thread)
    if at_terminal:
        known = chat.runs.known()
        typer.echo(
            f"{len(known)} runs. {HELP}" if has_log else f"No run is given (--log LOG): questions about Spark in general. {HELP}", err=True
        )
    failed: CopilotError | None = None
    try:
        while (line := _read(at_terminal)) is not None:
            question = line.strip()
            if not question:
                continue
            if question in ("/quit", "/exit"):
                break
            if question == "/new":
                thread, thread_known = None, False
                continue
            if question in ("/long", "/short"):
                long = question == "/long"
                continue
            if question in ("/help", "/?"):
                typer.echo(HELP, err=True)
                continue
            if question == "/runs":
                question = "which runs are there?"
            try:
                done = _turn(chat.say(question, thread_id=thread, new=not thread_known, long=long), output_format)
            except CopilotError as error:
                failed = error
                typer.echo(f"error: {error}", err=True)
                continue
            thread, thread_known = done, True
    finally:
        chat.close()
    if failed is not None and not at_terminal:
        raise failed


def _read(at_terminal: bool) -> str | None:
    try:
        if at_terminal:
            typer.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        return None
    return line or None


def _turn(going: "Going", output_format: str) -> str:
    """Print one answer as it comes; returns the thread's id."""
    import json

    thread, sources = "", []
    try:
        for event in going:
            if event.event == "token" and output_format == "text":
                typer.echo(event.data["text"], nl=False)
            elif event.event == "citation":
                sources.append(event.data)
            elif (
                event.event in ("status", "tool")
                and sys.stderr.isatty()
                and output_format == "text"
                and event.data.get("text") != "looking"
            ):
                typer.echo(f"({event.data.get('text') or event.data.get('name')})", err=True)
            elif event.event == "done":
                thread = str(event.data["thread_id"])
                if output_format == "json":
                    typer.echo(json.dumps(event.data, ensure_ascii=False, default=str))
    except KeyboardInterrupt:
        going.close()
        typer.echo("(stopped)", err=True)
    if output_format == "text":
        typer.echo()
        for source in sources:
            typer.echo(f"[{source['n']}] {source['title']}  {source['source']}")
        typer.echo()
    return thread
