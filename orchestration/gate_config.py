"""The gate's configuration: `[tool.spark-copilot.gate]` in pyproject.toml, or `[gate]` in .spark-copilot.toml."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.gate import values
from spark_copilot.rules_engine.gate.finding import SEVERITIES, Severity
from spark_copilot.rules_engine.gate.target import PLATFORMS, NodeProfile, SparkVersion, Target


@dataclass(frozen=True, slots=True)
class TargetFor:
    """Facts for the files of some patterns; parts that are None say nothing."""

    files: tuple[str, ...]
    target: Target


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Files that make one application together: defaults, submit script, code."""

    name: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GateConfig:
    """What is configured; everything has a default."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    known_keys: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets: tuple[TargetFor, ...] = ()
    jobs: tuple[JobGroup, ...] = ()
    fail_on: str | None = None
    root: Path = Path()
    pinned_spark: SparkVersion | None = None
    """Overrules whatever version a file names: what an upgrade is judged with."""

    def knows(self, key: str) -> bool:
        """Whether the user listed this key as one of his own (patterns allowed)."""
        return any(fnmatch(key, pattern) for pattern in self.known_keys)

    def target_of(self, file: str) -> Target:
        """What is configured for a file; a later entry completes an earlier one."""
        target = Target()
        for entry in self.targets:
            if any(fnmatch(file, p) or fnmatch(file, f"*/{p}") for p in entry.files):
                target = merged(target, entry.target)
        return target


def merged(first: Target, second: Target) -> Target:
    """The first target with its unknown parts taken from the second."""
    changes = {name: getattr(second, name) for name in Target.__slots__ if getattr(first, name) is None}
    return replace(first, **changes)


_KEYS = {"select", "ignore", "exclude", "known-keys", "severity", "per-file-ignores", "targets", "jobs", "fail-on"}


def find_config(start: Path) -> GateConfig:
    """The nearest configuration in this folder or above it; an empty one when there is none.

    Raises:
        UsageError: it is there and wrong.
    """
    folder = start.resolve()
    for here in [folder, *folder.parents]:
        own, project = here / ".spark-copilot.toml", here / "pyproject.toml"
        if own.is_file():
            return load_config(own)
        if project.is_file() and (table := _table(_toml(project), project)) is not None:
            return parse_config(table, project)
    return GateConfig()


def load_config(path: Path) -> GateConfig:
    """The configuration of one file.

    Raises:
        UsageError: it is missing or wrong.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such configuration file")
    return parse_config(_table(_toml(path), path) or {}, path)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{path}: {error}") from None


def _table(data: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    if path.name == "pyproject.toml":
        data = data.get("tool", {}).get("spark-copilot", {})
        if not data:
            return None
    table = data.get("gate", {})
    if not isinstance(table, dict):
        raise UsageError(f"{path}: gate must be a table")
    return table


def parse_config(table: Mapping[str, Any], path: Path) -> GateConfig:
    """A configuration from its table.

    Raises:
        UsageError: an unknown key or a value of the wrong kind.
    """
    unknown = set(table) - _KEYS
    if unknown:
        raise UsageError(f"{path}: the gate has no option {', '.join(sorted(unknown))}", hint=f"it has {', '.join(sorted(_KEYS))}")
    try:
        severity = {str(code).upper(): _severity(level) for code, level in table.get("severity", {}).items()}
        return GateConfig(
            select=_texts(table.get("select", ())),
            ignore=_texts(table.get("ignore", ())),
            exclude=_texts(table.get("exclude", ())),
            known_keys=_texts(table.get("known-keys", ())),
            severity=severity,
            per_file_ignores={str(k): _texts(v) for k, v in table.get("per-file-ignores", {}).items()},
            targets=tuple(TargetFor(_texts(t.get("files", ["*"])), target_from(t)) for t in table.get("targets", ())),
            jobs=tuple(JobGroup(str(j.get("name", "job")), _texts(j["files"])) for j in table.get("jobs", ())),
            fail_on=table.get("fail-on"),
            root=path.parent,
        )
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"a list of texts is wanted, not {value!r}")
    return tuple(value)


def _severity(level: Any) -> Severity:
    for known in SEVERITIES:
        if level == known:
            return known
    raise ValueError(f"severity {level!r}: one of {', '.join(SEVERITIES)}")


def target_from(table: Mapping[str, Any]) -> Target:
    """A target from configuration keys or flags of the same names.

    Raises:
        UsageError: a version, platform or role that cannot be.
    """
    platform, role, java = table.get("platform"), table.get("role"), table.get("java")
    if platform is not None and platform not in PLATFORMS:
        raise UsageError(f"unknown platform {platform!r}", hint=f"one of {', '.join(PLATFORMS)}")
    if role is not None and role not in ("production", "test"):
        raise UsageError(f"unknown role {role!r}", hint="production or test")
    if java is not None and not str(java).isdigit():
        raise UsageError(f"--java takes a number such as 17, not {java!r}")
    return Target(
        spark=_version(table.get("spark-version", table.get("spark"))),
        from_spark=_version(table.get("from-spark-version")),
        platform=platform,
        runtime=table.get("runtime"),
        release=table.get("release"),
        role=role,
        java=None if java is None else int(str(java)),
    )


def _version(text: Any) -> SparkVersion | None:
    if text is None:
        return None
    version = SparkVersion.parse(str(text))
    if version is None:
        raise UsageError(f"no Spark version: {text!r}", hint="write it as 3.5 or 4.0.1")
    return version


def load_profile(path: Path) -> NodeProfile:
    """The machines, from YAML or JSON: {node: {cores, memory}, yarn: {maximum-allocation-mb, maximum-allocation-vcores}}.

    Raises:
        UsageError: it cannot be read or says something else.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{path}: a map with node and yarn is wanted")
    node, yarn = data.get("node") or {}, data.get("yarn") or {}
    memory = node.get("memory")
    size = (
        None
        if memory is None
        else (
            values.kubernetes_size(str(memory))
            if str(memory).endswith("i")
            else values.size(str(memory).replace(" ", "").replace("iB", ""), "MiB")
        )
    )
    if memory is not None and size is None:
        raise UsageError(f"{path}: node.memory {memory!r} is no size", hint="write it as 64g or 64Gi")
    most, cores = yarn.get("maximum-allocation-mb"), yarn.get("maximum-allocation-vcores")
    try:
        return NodeProfile(
            cores=None if node.get("cores") is None else int(node["cores"]),
            memory_bytes=size,
            yarn_max_bytes=None if most is None else int(most) << 20,
            yarn_max_cores=None if cores is None else int(cores),
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None
