"""`upgrade-check`: what another Spark version changes for your own settings."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spark_copilot.app.cli.errors import Exit
from spark_copilot.app.report import gate_text
from spark_copilot.orchestration.gate_config import find_config, target_from
from spark_copilot.orchestration.upgrade import Default, Upgrade, check_upgrade
from spark_copilot.rules_engine.errors import UsageError


def command(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders with your settings.")],
    old: Annotated[str, typer.Option("--from", help="The Spark version of today.")],
    new: Annotated[str, typer.Option("--to", help="The Spark version to come.")],
    platform: Annotated[str | None, typer.Option("--platform", help="Where it runs.")] = None,
    java: Annotated[str | None, typer.Option("--java", help="Major version of Java after the upgrade.")] = None,
    output_format: Annotated[str, typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Findings that only the newer version brings, and the defaults that change under the keys you leave alone.

    Exit 1 when something stops working: an error among the findings.
    """
    if output_format not in ("text", "json"):
        raise UsageError(f"--format {output_format!r} is not known", hint="text or json")
    facts = {"platform": platform, "java": java}
    target = target_from({name: value for name, value in facts.items() if value is not None})
    upgrade = check_upgrade(paths, old, new, config=find_config(Path.cwd()), target=target)
    typer.echo(_text(upgrade) if output_format == "text" else json.dumps(upgrade.to_json(), indent=2, ensure_ascii=False) + "\n", nl=False)
    if upgrade.report.fails("error"):
        raise typer.Exit(Exit.GATE_FAILED)


def _near(default: Default) -> str:
    return f"   (you set {', '.join(default.near)})" if default.near else ""


def _text(upgrade: Upgrade) -> str:
    out = [f"Spark {upgrade.old} -> {upgrade.new}\n", gate_text.render(upgrade.report)]
    if upgrade.restated:
        out.append("Set to what is now the default:\n" + "".join(f"  {key} {value}\n" for key, value in upgrade.restated))
    if upgrade.defaults:
        out.append(f"{len(upgrade.defaults)} defaults change for keys that you do not set; nearest to yours first:\n")
        out += [f"  {d.key}: {d.old or '(empty)'} -> {d.new or '(empty)'}{_near(d)}\n" for d in upgrade.defaults]
    return "\n".join(out[:2]) + "\n" + "".join(out[2:])
