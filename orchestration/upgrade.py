"""The upgrade check: what another Spark version changes for the settings that files really hold, and for those they leave to their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spark_copilot.connectors.settings_files import read_text
from spark_copilot.orchestration.gate import GateReport, fingerprint, run_gate
from spark_copilot.orchestration.gate_config import GateConfig
from spark_copilot.orchestration.gate_files import discover, text_of
from spark_copilot.rules_engine.errors import UsageError
from spark_copilot.rules_engine.gate.finding import GateFinding
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.run_rules import changed_defaults, same_value
from spark_copilot.rules_engine.gate.target import SparkVersion, Target


@dataclass(frozen=True, slots=True)
class Default:
    """A default that differs between the two versions. `near` are keys of the files in the same name space."""

    key: str
    old: str
    new: str
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What the step means for these files. `report` holds the findings that only the newer version brings."""

    old: SparkVersion
    new: SparkVersion
    report: GateReport
    restated: tuple[tuple[str, str], ...]
    """(key, value) of settings that hold the new default anyway."""
    defaults: tuple[Default, ...]

    def to_json(self) -> dict[str, Any]:
        """One JSON object."""
        return {
            "schema_version": 1,
            "from": str(self.old),
            "to": str(self.new),
            "findings": [f.to_json() for f in self.report.findings],
            "defaults": [{"key": d.key, "from": d.old, "to": d.new, "near": list(d.near)} for d in self.defaults],
            "now_default": [{"key": key, "value": value} for key, value in self.restated],
            "summary": self.report.summary,
        }


def check_upgrade(paths: Sequence[Path], old: str, new: str, *, config: GateConfig | None = None, target: Target | None = None) -> Upgrade:
    """Judge the files for both versions and keep what is new.

    Raises:
        UsageError: a version that is none, or that the catalog does not hold.
    """
    config, target = config or GateConfig(), target or Target()
    one, two = _version(old), _version(new)
    before = run_gate(paths, config=replace(config, pinned_spark=one), target=target)
    after = run_gate(paths, config=replace(config, pinned_spark=two), target=target)
    known = {_identity(f, before) for f in before.findings}
    fresh = tuple(f for f in after.findings if _identity(f, after) not in known)
    written = _written(paths, config)
    return Upgrade(one, two, replace(after, findings=fresh), _restated(written, one, two), _defaults(written, one, two))


def _identity(finding: GateFinding, report: GateReport) -> tuple[str, str]:
    return fingerprint(finding, report.texts), finding.severity


def _version(text: str) -> SparkVersion:
    version = SparkVersion.parse(text)
    if version is None:
        raise UsageError(f"no Spark version: {text!r}", hint="write it as 3.5 or 4.0.1")
    if not SparkVersion(2, 4) <= version <= catalog().newest:
        raise UsageError(f"the catalog holds Spark 2.4 to {catalog().newest}, not {version}")
    return version


def _written(paths: Sequence[Path], config: GateConfig) -> dict[str, str]:
    keys: dict[str, str] = {}
    for path in discover(paths, config.exclude):
        text, _ = text_of(path)
        parsed = read_text(path.as_posix(), text) if text is not None else None
        for setting in parsed.settings if parsed is not None else ():
            if setting.key.startswith("spark."):
                keys[setting.key] = setting.value if setting.known else ""
    return keys


def _restated(written: dict[str, str], old: SparkVersion, new: SparkVersion) -> tuple[tuple[str, str], ...]:
    out = []
    for key, value in sorted(written.items()):
        entry = catalog().entry(key)
        if entry is None or not value:
            continue
        before, after = entry.default(old), entry.default(new)
        if after is not None and before is not None and not same_value(before, after) and same_value(value.strip(), after):
            out.append((key, value))
    return tuple(out)


def _defaults(written: dict[str, str], old: SparkVersion, new: SparkVersion) -> tuple[Default, ...]:
    found = []
    for key, before, after in changed_defaults(old, new, set(written)):
        space = key.rsplit(".", 1)[0]
        near = tuple(sorted(k for k in written if k.rsplit(".", 1)[0] == space or k.startswith(key.removesuffix(".enabled") + ".")))
        found.append(Default(key, before, after, near[:3]))
    return tuple(sorted(found, key=lambda d: (not d.near, d.key)))
