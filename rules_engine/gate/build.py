"""The catalog's data made from what installed Sparks say of themselves (dumps of the registry probe), one dump a version. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from spark_copilot.rules_engine.gate.target import SparkVersion

Dump = Mapping[str, Any]

_LIST = (
    re.compile(r"should be one of '?([^'\n]+?)'?(?:, but was| in the config|\. SQLSTATE|\.$|$)"),
    re.compile(r"[Vv]alid values are ([^\n]+?)(?:\. SQLSTATE| SQLSTATE|\.?$)"),
)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _minor(version: str) -> str:
    parsed = SparkVersion.parse(version)
    return version if parsed is None else str(parsed)


_NAMED = (
    (re.compile(r"should be (?:a/an )?'?bool"), "bool"),
    (re.compile(r"should be (?:a/an )?'?(?:int|long|short)\b"), "int"),
    (re.compile(r"should be (?:a/an )?'?(?:double|float)"), "double"),
    (re.compile(r"'bytes in (?P<unit>BYTE|KiB|MiB|GiB)"), "bytes"),
    (re.compile(r"'time in (?P<unit>MILLISECONDS|SECONDS|MINUTES)"), "time"),
)
"""What a converter of Spark calls the type it wanted, when it refuses a value."""
_UNITS = {"BYTE": "B", "MILLISECONDS": "ms", "SECONDS": "s", "MINUTES": "min"}


def choices_of(probe: Mapping[str, Any]) -> list[str] | None:
    """The closed list of values, read out of what the converter says to nonsense, or to a number when only numbers get that far."""
    for asked in ("zz_not_a_value", "7"):
        kind, text = probe.get(asked, ("", ""))
        if kind != "!" or "one or more" in text:
            continue
        for pattern in _LIST:
            match = pattern.search(text)
            if match:
                values = [v for v in re.split(r",\s*|\s+and\s+", match[1]) if v]
                cleaned = [v.strip().strip("'\"") for v in values]
                return cleaned if all(re.fullmatch(r"[\w.\-]+", v) for v in cleaned) and len(cleaned) > 1 else None
    return None


def type_of(probe: Mapping[str, Any]) -> str:
    """The type of an entry from its converter's answers: bool, int, double, bytes:UNIT, time:UNIT, choice, checked or string."""
    seven, kilo, second = (probe.get(p, ("!", "")) for p in ("7", "3k", "3s"))
    if probe.get("true", ("!",))[0] == "java.lang.Boolean" and seven[0] == "!":
        return "bool"
    if choices_of(probe):
        return "choice"
    if seven[0] in ("java.lang.Integer", "java.lang.Long"):
        if kilo[0] != "!":
            return {"3072": "bytes:B", "3": "bytes:KiB", "0": "bytes:MiB"}.get(str(kilo[1]), "bytes:B")
        if second[0] != "!":
            return {"3000": "time:ms", "3": "time:s", "0": "time:min"}.get(str(second[1]), "time:?")
        return "int"
    if seven[0] == "java.lang.Double":
        return "double"
    refused = probe.get("zz_not_a_value", ("", ""))
    return (_named_type(str(refused[1])) or "checked") if refused[0] == "!" else "string"


def _named_type(refusal: str) -> str | None:
    """The type named in a refusal: for entries whose own check turns every probe down, so that no answer shows it."""
    for pattern, kind in _NAMED:
        match = pattern.search(refusal)
        if match is not None:
            unit = match.groupdict().get("unit")
            return kind if unit is None else f"{kind}:{_UNITS.get(unit, unit)}"
    return None


def timeline(dumps: Mapping[str, Dump]) -> dict[str, Any]:
    """Every key over all versions: first and last version that has it, defaults by version, the newest type."""
    keys: dict[str, Any] = {}
    for version in sorted(dumps, key=_order):
        for key, entry in dumps[version]["entries"].items():
            row = keys.setdefault(key, {"defaults": {}, "first": version})
            row["defaults"][version] = _default(entry["defaultValueString"])
            row["last"] = version
            row["public"] = str(entry["isPublic"]).lower() == "true"
            row["since"] = entry["version"]
            row["static"] = bool(entry["static"])
            row["type"] = type_of(entry["probe"])
    return dict(sorted(keys.items()))


def _default(text: str | None) -> str:
    """The default as text; a path of the machine that made the dump is none."""
    return "<undefined>" if text is None or re.match(r"file:/", text) else text


def details(dumps: Mapping[str, Dump]) -> dict[str, Any]:
    """What the timeline has no room for: closed lists, old names, deprecated and removed keys, keys that stand only in class files."""
    merged: dict[str, Any] = {
        "versions": [_minor(v) for v in sorted(dumps, key=_order)],
        "choices": {},
        "alternatives": {},
        "deprecated": {},
        "removed_sql": {},
        "deprecated_sql": {},
        "static_since": {},
    }
    constants: set[str] = set()
    registered: set[str] = set()
    for version in sorted(dumps, key=_order):
        dump, minor = dumps[version], _minor(version)
        registered |= set(dump["entries"])
        constants |= set(dump["constants"])
        for key, entry in dump["entries"].items():
            values = choices_of(entry["probe"])
            if values:
                merged["choices"].setdefault(key, {})[minor] = values
            if entry["static"]:
                merged["static_since"].setdefault(key, minor)
        for old, (since, new) in dump["alternatives"].items():
            row = merged["alternatives"].setdefault(old, {"to": new, "since": since, "in": []})
            row["to"] = new
            row["in"].append(minor)
        for key, (since, text) in dump["deprecated"].items():
            merged["deprecated"][key] = {"since": _at_least(since), "text": text.strip()}
        for key, (since, default, text) in dump["removed_sql"].items():
            merged["removed_sql"][key] = {"since": _at_least(since), "default": default or "", "text": text.strip()}
        for key, (since, _, text) in dump["deprecated_sql"].items():
            merged["deprecated_sql"][key] = {"since": _at_least(since), "text": text.strip()}
    earliest = merged["versions"][0] if merged["versions"] else ""
    # A key that is static in the oldest dump was static before it as well, as far as these dumps can tell.
    merged["static_since"] = {k: v for k, v in merged["static_since"].items() if v != earliest}
    merged["constants"] = sorted(constants - registered)
    return merged


def _at_least(version: str) -> str:
    return version if SparkVersion.parse(version) else "1.0"
