"""The gate: paths in, findings out. Reads settings files, finds what they run on, judges every application's settings."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from spark_copilot.connectors.settings_files import read_text
from spark_copilot.orchestration.gate_config import GateConfig, merged
from spark_copilot.orchestration.gate_files import discover, text_of
from spark_copilot.orchestration.gate_suppress import Suppression, apply, selects, suppressions
from spark_copilot.rules_engine.errors import BadInput, UsageError
from spark_copilot.rules_engine.gate.engine import finding_of, judge
from spark_copilot.rules_engine.gate.finding import SEVERITIES, GateFinding, Hit, Severity
from spark_copilot.rules_engine.gate.keys import catalog
from spark_copilot.rules_engine.gate.rule import GateRule
from spark_copilot.rules_engine.gate.rules import RULES
from spark_copilot.rules_engine.gate.setting import Mark, Place, Setting, SettingsFile
from spark_copilot.rules_engine.gate.target import SparkVersion, Target, spark_of
from spark_copilot.rules_engine.gate.view import View, kind_of_master, scopes_of


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file that the gate knew: the reader that took it and how many keys it holds."""

    file: str
    kind: str
    keys: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate says. `findings` are those that count; `suppressed` and `known` (in the baseline) are only counted."""

    findings: tuple[GateFinding, ...]
    files: tuple[FileReport, ...]
    suppressed: tuple[GateFinding, ...] = ()
    known: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Text of every file with findings, for showing lines."""
    verdict: str | None = None
    """Of a run: same, better, worse or cannot-tell, with its reason; None for files."""

    @property
    def summary(self) -> dict[str, int]:
        """Findings by severity."""
        return {level: sum(f.severity == level for f in self.findings) for level in SEVERITIES}

    def to_json(self) -> dict[str, Any]:
        """The contract's shape."""
        return {
            "schema_version": 1,
            **({"verdict": self.verdict} if self.verdict is not None else {}),
            "findings": [f.to_json() for f in self.findings],
            "files": [{"file": f.file, "kind": f.kind, "keys": f.keys, **({"error": f.error} if f.error else {})} for f in self.files],
            "suppressed": len(self.suppressed),
            "summary": self.summary,
        }

    def fails(self, level: str) -> bool:
        """Whether a finding reaches this level (`never`: no finding does)."""
        if level == "never":
            return False
        return any(SEVERITIES.index(f.severity) <= SEVERITIES.index(level) for f in self.findings)


def chosen_rules(select: Sequence[str], ignore: Sequence[str], rules: Iterable[GateRule] = RULES) -> list[GateRule]:
    """The rules that run: the default set, or those selected; `+SG110` adds to the default set.

    Raises:
        UsageError: a pattern that means no rule.
    """
    every = list(rules)
    for pattern in [*select, *ignore]:
        if not any(selects(pattern.lstrip("+"), r.code, r.name) for r in every) and not pattern.upper().startswith("SR"):
            raise UsageError(f"no gate rule is called {pattern!r}", hint="codes such as SG101, their beginnings such as SG1, names, or ALL")
    only = [p for p in select if not p.startswith("+")]
    more = [p[1:] for p in select if p.startswith("+")]
    kept = [
        r
        for r in every
        if (any(selects(p, r.code, r.name) for p in only) if only else r.on) or any(selects(p, r.code, r.name) for p in more)
    ]
    return [r for r in kept if not any(selects(p, r.code, r.name) for p in ignore)]


@dataclass(slots=True)
class _Read:
    file: str
    text: str
    parsed: SettingsFile
    comments: list[Suppression]


def run_gate(
    paths: Sequence[Path],
    *,
    config: GateConfig | None = None,
    target: Target | None = None,
    baseline: frozenset[str] = frozenset(),
    today: date | None = None,
) -> GateReport:
    """Judge every settings file under these paths.

    Raises:
        NotFound: none of the paths exists.
        BadInput: not one file could be read.
    """
    config, target = config or GateConfig(), target or Target()
    read: list[_Read] = []
    unreadable: list[tuple[str, str]] = []
    seen = 0
    for path in discover(paths, config.exclude):
        seen += 1
        text, why = text_of(path)
        name = path.as_posix()
        if why is not None:
            unreadable.append((name, why))
        elif text is not None and (parsed := read_text(name, text)) is not None:
            read.append(_Read(name, text, parsed, suppressions(text)))
    if unreadable and len(unreadable) == seen:
        raise BadInput(f"{unreadable[0][0]}: {unreadable[0][1]}")
    return _report(read, unreadable, config, target, baseline, today or datetime.now(UTC).date())


def gate(paths: Sequence[str | Path]) -> GateReport:
    """Judge every settings file under these paths with the default rules: the library's front door."""
    return run_gate([Path(path) for path in paths])


def gate_texts(files: Mapping[str, str], *, config: GateConfig | None = None, target: Target | None = None) -> GateReport:
    """Judge texts that lie on no disk (name -> text): what the API does."""
    read = [_Read(n, t, parsed, suppressions(t)) for n, t in files.items() if (parsed := read_text(n, t)) is not None]
    return _report(read, [], config or GateConfig(), target or Target(), frozenset(), datetime.now(UTC).date())


def _report(
    read: list[_Read], unreadable: list[tuple[str, str]], config: GateConfig, target: Target, baseline: frozenset[str], today: date
) -> GateReport:
    rules = chosen_rules(config.select, config.ignore)
    by_code = {r.code: r for r in RULES}
    findings: list[GateFinding] = []
    failed: list[tuple[str, str]] = []
    grouped = _groups(read, config)
    for item in read:
        found, broke = _judge_file(item, rules, config, target, item.file in {f for g in grouped for f in g})
        failed += broke
        findings += apply(found, item.comments, today)
    for group in grouped:
        members = [r for r in read if r.file in group]
        found, broke = _judge_group(members, rules, config, target)
        failed += broke
        for item in members:
            findings += apply([f for f in found if f.file == item.file], item.comments, today)
    if any(r.code == "SG018" for r in rules):
        findings += _unused(read, by_code["SG018"])
    findings += [finding_of(by_code["SG001"], name, Hit(0, why)) for name, why in unreadable if by_code["SG001"] in rules]
    findings = [_leveled(f, config) for f in findings if not _ignored(f, config)]
    findings = sorted(dict.fromkeys(findings), key=lambda f: (f.file, f.line, f.rule, f.column or 0))
    texts = {r.file: r.text for r in read}
    open_ = [f for f in findings if f.suppressed is None]
    new = [f for f in open_ if fingerprint(f, texts) not in baseline] if baseline else open_
    files = [FileReport(r.file, r.parsed.kind, len(r.parsed.settings), r.parsed.error) for r in read]
    files += [FileReport(name, "unreadable", 0, why) for name, why in unreadable]
    return GateReport(
        findings=tuple(new),
        files=tuple(sorted(files, key=lambda f: f.file)),
        suppressed=tuple(f for f in findings if f.suppressed is not None),
        known=len(open_) - len(new),
        failed=tuple(failed),
        texts=texts,
    )


@lru_cache(maxsize=2)
def lines_of(text: str) -> list[str]:
    """The lines of one file's text; kept, since a long file with many findings asks again for each."""
    return text.split("\n")


def fingerprint(finding: GateFinding, texts: Mapping[str, str]) -> str:
    """What stays the same when lines move: rule, file, key and the line's own text."""
    lines = lines_of(texts.get(finding.file, ""))
    line = lines[finding.line - 1].strip() if 0 < finding.line <= len(lines) else ""
    return hashlib.sha256("\0".join((finding.rule, finding.file, finding.key or "", line)).encode()).hexdigest()[:20]


_RELATIONS = ("SG3", "SG4", "SG5")


def _judge_file(
    item: _Read, rules: list[GateRule], config: GateConfig, target: Target, in_group: bool
) -> tuple[list[GateFinding], list[tuple[str, str]]]:
    if item.parsed.error is not None:
        rule = next((r for r in rules if r.code == "SG001"), None)
        return ([finding_of(rule, item.file, Hit(item.parsed.error_line, item.parsed.error))] if rule else []), []
    if in_group:
        rules = [r for r in rules if not r.code.startswith(_RELATIONS)]
    found: list[GateFinding] = []
    failed: list[tuple[str, str]] = []
    settings_of: dict[str, list[Setting]] = defaultdict(list)
    marks_of: dict[str, list[Mark]] = defaultdict(list)
    for s in item.parsed.settings:
        if not config.knows(s.key):
            settings_of[s.scope].append(s)
    for m in item.parsed.marks:
        marks_of[m.scope].append(m)
    for scope in scopes_of(item.parsed.settings, item.parsed.marks):
        settings, marks = settings_of[scope], marks_of[scope]
        facts = target_of(item.file, item.text, settings, marks, config, target)
        judged = judge(View(item.parsed.kind, item.file, scope, settings, marks, facts, catalog()), rules)
        found += judged.findings
        failed += judged.failed
    return found, failed


def _judge_group(
    members: list[_Read], rules: list[GateRule], config: GateConfig, target: Target
) -> tuple[list[GateFinding], list[tuple[str, str]]]:
    """The settings of several files as one application: only rules on how settings fit together."""
    settings = [s for m in members for s in m.parsed.settings if not config.knows(s.key)]
    marks = [mark for m in members for mark in m.parsed.marks if mark.what != "spark-conf-unknown"]
    facts = target
    for member in members:
        facts = merged(facts, target_of(member.file, member.text, member.parsed.settings, member.parsed.marks, config, target))
    view = View("job", members[0].file, "", settings, marks, facts, catalog())
    judged = judge(view, [r for r in rules if r.code.startswith(_RELATIONS)])
    places = {(s.key, s.line): s.file for s in settings}
    return [replace(f, file=places.get((f.key or "", f.line), f.file)) for f in judged.findings], list(judged.failed)


def _groups(read: list[_Read], config: GateConfig) -> list[set[str]]:
    groups = []
    for job in config.jobs:
        files = {r.file for r in read if any(fnmatch(r.file, p) or fnmatch(r.file, f"*/{p}") for p in job.files)}
        if len(files) > 1:
            groups.append(files)
    return groups


def _unused(read: list[_Read], rule: GateRule) -> list[GateFinding]:
    out = []
    for item in read:
        for comment in item.comments:
            idle = [c.strip() for c in comment.codes if not any(selects(c, used, "") for used in comment.used)]
            out += [
                finding_of(rule, item.file, Hit(comment.line, f"nothing to suppress here: {code}", fix="remove the comment"))
                for code in idle
            ]
    return out


def _leveled(finding: GateFinding, config: GateConfig) -> GateFinding:
    level: Severity | None = config.severity.get(finding.rule)
    return finding if level is None else replace(finding, severity=level)


def _ignored(finding: GateFinding, config: GateConfig) -> bool:
    for pattern, codes in config.per_file_ignores.items():
        if (fnmatch(finding.file, pattern) or fnmatch(finding.file, f"*/{pattern}")) and any(
            selects(c, finding.rule, finding.name) for c in codes
        ):
            return True
    return False


# -- what a file runs on --------------------------------------------------------------------------------------------

_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|testing|src/test|spec|fixtures)/|(?:^|/)(?:conftest|test_[^/]*|[^/]*_test)\.py$|(?:Test|Spec|Suite|IT)\.(?:scala|java|kt)$"
)
_INLINE = re.compile(r"spark-copilot:\s*target\s+(?P<facts>[^\n]+)")
_PINNED = re.compile(r"^\s*[\"']?pyspark(?:\[[^\]]*\])?\s*(?:==|~=)\s*(\d+\.\d+)", re.MULTILINE)
_JAVA_17 = (("emr", re.compile(r"emr-(?:7|[89])\.")), ("glue", re.compile(r"5\.")), ("databricks", re.compile(r"1[6-9]\.|2\d\.")))


def target_of(file: str, text: str, settings: Sequence[Setting], marks: Sequence[Mark], config: GateConfig, given: Target) -> Target:
    """What is known of one application: the file itself, then what was given, then the configuration, then the repository."""
    first = {m.what: m for m in reversed(marks)}
    spark = SparkVersion.parse(first["spark-version"].text) if "spark-version" in first else None
    role = first["role"].text if "role" in first else ("test" if _TEST_PATH.search(_near_path(file)) else None)
    own = Target(spark=spark, platform=first["platform"].text if "platform" in first else None, role=role)
    own = merged(_inline(text), own)
    out = merged(merged(own, given), config.target_of(file))
    out = _with_master(out, settings)
    vendor = first.get("vendor-version")
    kind, version = (vendor.data["vendor"], vendor.text) if vendor else ("", "")
    if not kind and out.release:
        kind, version = "emr", out.release
    if not kind and out.runtime:
        kind, version = "databricks", out.runtime
    if out.spark is None and kind:
        out = replace(out, spark=spark_of(kind, version))
    if out.java is None and any(kind == k and pattern.match(version) for k, pattern in _JAVA_17):
        out = replace(out, java=17)
    if config.pinned_spark is not None:
        return replace(out, spark=config.pinned_spark)
    if out.spark is None:
        out = replace(out, spark=_pinned(str(Path(file).parent)))
    return out


@lru_cache(maxsize=2)
def _inline(text: str) -> Target:
    """What a comment of the file says; kept, since every application of a long script asks."""
    match = _INLINE.search(text) if "spark-copilot:" in text else None
    if match is None:
        return Target()
    facts = dict(pair.split("=", 1) for pair in match["facts"].split() if "=" in pair)
    return Target(
        spark=SparkVersion.parse(facts.get("spark", "")),
        platform=facts.get("platform"),
        role=facts.get("role"),
        java=int(facts["java"]) if facts.get("java", "").isdigit() else None,
    )


def _near_path(file: str) -> str:
    """The part of a path that speaks of the file: below the working folder, or the last folder and the name."""
    path = Path(file)
    if not path.is_absolute():
        return path.as_posix()
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        tail = "/".join(path.parts[-2:])
        return "src/test/" + tail if "/src/test/" in file else tail


_BY_MASTER = (None, "yarn", "kubernetes", "standalone", "local")


def _with_master(target: Target, settings: Sequence[Setting]) -> Target:
    """The platform that a master outside code names, where nothing stronger is known."""
    if target.platform not in _BY_MASTER:
        return target
    for s in reversed(settings):
        if s.key == "spark.master" and s.known and s.place in (Place.DEFAULTS, Place.CONF, Place.FLAG):
            return replace(target, platform=kind_of_master(s.value) or target.platform)
    return target


@cache
def _pinned(folder: str) -> SparkVersion | None:
    """The pyspark that the nearest requirements pin, at most four folders up."""
    here = Path(folder)
    for at in [here, *list(here.absolute().parents)[:4]]:
        for name in ("requirements.txt", "pyproject.toml", "setup.cfg", "setup.py"):
            try:
                match = _PINNED.search((at / name).read_text(encoding="utf-8", errors="replace"))
            except OSError:
                continue
            if match:
                return SparkVersion.parse(match[1])
        if (at / ".git").exists():
            return None
    return None
