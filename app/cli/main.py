"""Entry point: one table of commands. Only the module of the command that was asked for is imported, so `--help` stays fast."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, NoReturn

import typer
from typer._click.exceptions import ClickException
from typer._click.exceptions import UsageError as ClickUsageError

from spark_copilot.app.cli.errors import Exit, exit_code
from spark_copilot.app.threads import ONE_THREAD
from spark_copilot.rules_engine.errors import CopilotError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Analyse a sample log that comes in the package."),
    "analyze": ("analyze", "Analyse event logs: what the run did, what is wrong, what each fix is worth."),
    "whatif": ("whatif", "Replay a run under other sizes, settings, or with findings mended."),
    "compare": ("compare", "Compare two runs: where the difference comes from, and whether it is noise."),
    "train": ("train", "Learn from the logs of a job's runs how long it takes: a model file for analyze --model."),
    "explain": ("explain", "Print a rule's page."),
    "ask": ("ask", "Answer a question about Spark, or about a run, with sources."),
    "chat": ("chat", "Talk about runs and Spark; also with one question a line from a pipe."),
    "mcp": ("mcp", "Serve the tools to an AI assistant over MCP: stdio, or HTTP on loopback."),
    "search": ("search", "Find passages in the knowledge and in your index."),
    "index": ("index", "Your own documents in the knowledge: add, build, stats."),
    "gate": ("gate", "Stop bad Spark settings in CI: files, code, and a run against its baseline."),
    "upgrade-check": ("upgrade_check", "What another Spark version changes for your own settings."),
    "catalog": ("catalog", "The catalog of Spark's settings: build it again from an installed Spark."),
    "rules": ("rules", "Rules of your own: a new one ready to fill in."),
    "scrub": ("scrub", "Make an event log that may be shared: same findings, no names."),
    "serve": ("serve", "Serve the API on this machine."),
    "worker": ("worker", "Analyse uploaded logs beside the server, for more at the same time."),
    "keys": ("keys", "API keys of the service: create, list, revoke."),
    "db": ("db", "The database: upgrade, downgrade, current."),
    "config": ("config", "Show the settings in force."),
}
"""Name -> (module under app/cli, one line for `--help`). A module holds `command` (a function) or `app` (a Typer of subcommands)."""


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"spark-copilot {version('spark-intelligence-copilot')}")
        raise typer.Exit


def _placeholder() -> None:
    """Stands for a command in the list of `--help`; never run."""


def build(arguments: Sequence[str]) -> typer.Typer:
    """The Typer application with the wanted command loaded and the others named."""
    cli = typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
    )

    @cli.callback(help="Hand it a Spark event log: it says what is wrong, what each fix is worth, and what to change.")
    def root(
        version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    ) -> None:
        del version

    wanted = next((a for a in arguments if not a.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        if name != wanted:
            cli.command(name, help=summary)(_placeholder)
            continue
        module = import_module(f"spark_copilot.app.cli.{module_name}")
        if hasattr(module, "app"):
            cli.add_typer(module.app, name=name, help=summary)
        else:
            command: Callable[..., None] = module.command
            cli.command(name, help=f"{summary}\n\n{command.__doc__ or ''}")(command)
    return cli


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every expected failure is one or two lines on stderr."""
    try:
        result = build(arguments)(args=list(arguments), prog_name="spark-copilot", standalone_mode=False)
        return int(result or 0)
    except typer.Exit as stop:
        return stop.exit_code
    except CopilotError as error:
        _say(f"error: {error}")
        if error.hint:
            _say(f"hint: {error.hint}")
        return exit_code(error)
    except ClickUsageError as error:
        _say(f"error: {error.format_message()}")
        _say("hint: spark-copilot --help lists the commands, spark-copilot COMMAND --help their options")
        return Exit.USAGE
    except ClickException as error:
        _say(f"error: {error.format_message()}")
        return Exit.USAGE
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the outermost edge: a bug becomes exit 70, never 1
        if os.environ.get("SPARK_COPILOT_DEBUG"):
            traceback.print_exc()
        _say(f"internal error: {type(error).__name__}: {error}")
        _say("hint: this is a bug; SPARK_COPILOT_DEBUG=1 shows the traceback")
        return Exit.INTERNAL


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the one place that writes errors


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))
