"""Rules and limits of one's own: from the configuration file and from installed packages, never from a log.

`[tool.spark-copilot]` of a pyproject.toml, or the top of a `.spark-copilot.toml`, may hold `rules = ["my_package.rules"]`, tables `[limits.FAMILY]`,
and `[sizing]` with `preserve = [key, …]` and `enforce = {key = value}`. An installed package may name modules under the entry point
`spark_copilot.rules`. A module gives its `RULES`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spark_copilot.rules_engine.catalog import RULES
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.findings import FAMILIES
from spark_copilot.rules_engine.limits import Limits
from spark_copilot.rules_engine.rule import AnyRule, Rule

GROUP = "spark_copilot.rules"
_OWN_CODE = re.compile(r"x-[a-z0-9]+-[a-z0-9]+(?:-[a-z0-9]+)*\Z")


@dataclass(frozen=True, slots=True)
class Extensions:
    """What to analyse with: all rules, ours before the others', the limits, and the settings that the user fixed."""

    rules: tuple[AnyRule, ...] = RULES
    limits: Limits = field(default_factory=Limits)
    preserve: frozenset[str] = frozenset()
    enforce: Mapping[str, str] = field(default_factory=dict)


def load_extensions(config: Path | None) -> Extensions:
    """Everything that the configuration file and installed packages add.

    Raises:
        UsageError: the file, a module or a rule is not what it should be.
    """
    table = _table(config) if config is not None else {}
    limits = Limits()
    for family, values in _mapping(table.get("limits", {}), "limits", config).items():
        limits = limits.override(family, _numbers(_mapping(values, f"limits.{family}", config), family, config))
    names = table.get("rules", [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise UsageError(f"{config}: rules must be a list of module names")
    found = [*_of_modules(names, config), *_of_packages()]
    known = {r.code for r in RULES}
    for rule in found:
        _check(rule, known)
        known.add(rule.code)
    sizing = _mapping(table.get("sizing", {}), "sizing", config)
    preserve, enforce = sizing.get("preserve", []), _mapping(sizing.get("enforce", {}), "sizing.enforce", config)
    if not isinstance(preserve, list) or not all(isinstance(k, str) for k in preserve):
        raise UsageError(f"{config}: sizing.preserve must be a list of settings")
    return Extensions((*RULES, *found), limits, frozenset(preserve), {str(k): str(v) for k, v in enforce.items()})


def find_configuration(start: Path) -> Path | None:
    """The nearest `.spark-copilot.toml`, or pyproject.toml with a table for us, in this folder or above it."""
    for here in [start.resolve(), *start.resolve().parents]:
        own, project = here / ".spark-copilot.toml", here / "pyproject.toml"
        if own.is_file():
            return own
        if project.is_file() and "spark-copilot" in _toml(project).get("tool", {}):
            return project
    return None


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: {error}") from None


def _table(path: Path) -> Mapping[str, Any]:
    data = _toml(path)
    return _mapping(data.get("tool", {}).get("spark-copilot", {}), "tool.spark-copilot", path) if path.name == "pyproject.toml" else data


def _mapping(value: Any, name: str, path: Path | None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {name} must be a table")
    return value


def _numbers(values: Mapping[str, Any], family: str, path: Path | None) -> Mapping[str, float]:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UsageError(f"{path}: limits.{family}.{name} must be a number, not {value!r}")
    return values


def _of_modules(names: Iterable[str], path: Path | None) -> list[AnyRule]:
    found: list[AnyRule] = []
    for name in names:
        try:
            module = import_module(name)
        except Exception as error:
            raise UsageError(
                f"{path}: the rules module {name!r} cannot be imported: {error}", hint="is its package installed here?"
            ) from error
        found += _rules_of(module, name)
    return found


def _of_packages() -> list[AnyRule]:
    found: list[AnyRule] = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        try:
            module = point.load()
        except Exception as error:
            raise UsageError(
                f"the installed rules {point.value!r} cannot be imported: {error}", hint="uninstall or mend that package"
            ) from error
        found += _rules_of(module, point.value)
    return found


def _rules_of(module: Any, name: str) -> list[AnyRule]:
    rules = getattr(module, "RULES", None)
    if not isinstance(rules, tuple | list) or not all(isinstance(r, Rule) for r in rules):
        raise UsageError(f"the rules module {name!r} has no RULES, a tuple of rules")
    return list(rules)


def _check(rule: AnyRule, known: set[str]) -> None:
    if not _OWN_CODE.match(rule.code):
        raise UsageError(f"the rule {rule.code!r} needs a code of the form x-vendor-name")
    if rule.code in known:
        raise UsageError(f"two rules have the code {rule.code!r}")
    if rule.family not in FAMILIES:
        raise UsageError(f"the rule {rule.code!r} names no family of ours: {rule.family!r}", hint="known: " + ", ".join(FAMILIES))
