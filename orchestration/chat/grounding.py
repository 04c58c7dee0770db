"""What a model says, held against what the tools answered: numbers, settings, values, sources, links, secrets. What does not hold is not shown."""

import bisect
import json
import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from spark_copilot.orchestration.chat.quantities import Kind, Quantity, quantities
from spark_copilot.rag.keys import exists, known
from spark_copilot.rag.safe_text import ADDRESSES_A_MODEL, visible, without_links
from spark_copilot.rules_engine.redact import redact_text

NO_NUMBER, NO_KEY, NO_VALUE = "[figure removed]", "[setting removed]", "[value removed]"
_KEY = re.compile(r"(?<![\w/.])(?:spark|delta)\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)*", re.IGNORECASE)
_CODE = re.compile(
    r"(?:spark|delta)\.(?:read|readStream|sql|table|tables|range|conf|catalog|createDataFrame|sparkContext|streams|udf|udtf|implicits|sessionState|version|stop|newSession|apache|time)\b(?!\.\w+\.)"
)
"""The session object in code (`spark.read.parquet`), not settings; `spark.sql.x.y` is a setting."""
_ASSIGNED = re.compile(
    r"(?P<key>(?:spark|delta)\.[A-Za-z0-9_.\-]+)(?P<sign>[`'\"]?\s*(?:=|:|,| to | as )\s*)(?P<value>[`'\"]?[^\s`'\"]+)", re.IGNORECASE
)
_COMMAND = re.compile(r"--conf\b|spark-submit|\bSET spark|\bspark-shell\b|\bpyspark\b")
_META = re.compile(r"\s*(?:;|\|\||\||&&|&|\$\(|`\s*[a-z]+\s|>\s?/|<\().*$")
_CITED = re.compile(r"\[(\d{1,3})\]")
_MARKER = re.compile(r"^\s{0,8}(?:[-*]\s+)?\d{1,2}[.)]\s")
_ORDINAL = re.compile(r"\b\d{1,2}(?:st|nd|rd|th)\b")
_PLAIN_VALUE = re.compile(r"[\w.,:/+*\[\]%\-@=]{1,200}")
_BY_KIND = {
    "bool": re.compile(r"(?:true|false)", re.IGNORECASE),
    "int": re.compile(r"-?\d{1,12}"),
    "double": re.compile(r"-?\d{1,9}(?:\.\d{1,9})?"),
    "bytes": re.compile(r"-?\d{1,15}(?:\.\d{1,3})?\s?(?:[kmgtp]i?)?b?", re.IGNORECASE),
    "time": re.compile(r"-?\d{1,12}(?:us|ms|s|m|min|h|d)?", re.IGNORECASE),
}


class Grounds:
    """All that an answer may rest on: the question, what was said before, and the results of this turn's tools."""

    def __init__(self) -> None:
        self._values: dict[Kind, list[float]] = {"ms": [], "bytes": [], "ratio": [], "plain": []}
        self._texts: list[str] = []

    def add_text(self, text: str) -> None:
        """Numbers as they stand in a text, with their units."""
        self._texts.append(text.lower())
        for q in quantities(text):
            if q.literal is None:
                self._put(q.kind, q.value)
                if q.kind != "plain" and q.end > q.start:
                    raw = re.match(r"[\d,.]*\d", text[q.start : q.end])
                    if raw is not None:
                        self._put("plain", float(raw[0].replace(",", "")))

    def add(self, value: Any, kind: Kind = "plain") -> None:
        """A tool's result: numbers by the unit that their names carry, and the numbers of its texts."""
        if isinstance(value, bool) or value is None:
            return
        if isinstance(value, int | float):
            self._put(kind, float(value))
            self._put("plain", float(value))
            if kind == "ms" and value > 1e11:
                self._texts.append(datetime.fromtimestamp(min(value, 4e12) / 1e3, UTC).strftime("%Y-%m-%d %H:%M:%S"))
        elif isinstance(value, str):
            self.add_text(value)
        elif isinstance(value, dict):
            unit = value.get("unit")
            for key, item in value.items():
                if key in ("value", "limit") and isinstance(item, int | float) and isinstance(unit, str):
                    self.add(item / 100 if unit == "percent" else item, _of_unit(unit))
                    continue
                self._texts.append(str(key).lower())
                self.add(item, _of_name(str(key), kind))
        elif isinstance(value, list | tuple):
            self._put("plain", float(len(value)))
            for item in value:
                self.add(item, kind)

    def holds(self, q: Quantity) -> bool:
        """Whether a number of an answer is one of these, as finely as it was given."""
        if q.literal is not None:
            return any(q.literal.lower() in text for text in self._texts)
        if self._near(q.kind, q.value, q.step):
            return True
        if q.kind == "bytes":  # decimal units too
            power = max(round(len(f"{q.value:.0f}") / 3.2), 0)
            return any(self._near("bytes", q.value * (1000 / 1024) ** p, q.step) for p in range(1, min(power, 5) + 1))
        return q.kind == "ratio" and self._near("plain", q.value, q.step) and q.value >= 1

    def says(self, text: str) -> bool:
        """Whether a text stands in the results or the question."""
        return any(text.lower() in known_text for known_text in self._texts)

    def _put(self, kind: Kind, value: float) -> None:
        values = self._values[kind]
        at = bisect.bisect_left(values, value)
        if at == len(values) or values[at] != value:
            values.insert(at, value)

    def _near(self, kind: Kind, value: float, step: float) -> bool:
        values = self._values[kind]
        slack = max(step, 0.0) * 0.51 + abs(value) * 1e-9
        at = bisect.bisect_left(values, value - slack)
        return at < len(values) and values[at] <= value + slack


def _of_unit(unit: str) -> Kind:
    return "ms" if unit == "ms" else "bytes" if unit == "bytes" else "ratio" if unit in ("ratio", "percent") else "plain"


def _of_name(name: str, above: Kind) -> Kind:
    if name.endswith(("_ms", "wall_clock")) or "_ms_" in name:
        return "ms"
    if name == "bytes" or name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_ratio"):
        return "ratio"
    return above if name in ("low", "mid", "high", "used", "idle", "failed") else "plain"


class Checker:
    """Makes lines of an answer fit to be shown. `sources`: addresses that may be linked; `secrets`: texts that never leave."""

    def __init__(self, grounds: Grounds, *, secrets: Iterable[str] = (), prompt: str = "") -> None:
        self.grounds = grounds
        self.sources: list[dict[str, str]] = []
        self.removed = 0
        self._secrets = tuple(s for s in secrets if len(s) >= 6)
        self._prompt = {_squeezed(sentence) for sentence in re.split(r"(?<=[.:])\s|\n", prompt) if len(_squeezed(sentence)) >= 24}

    def line(self, line: str) -> str:
        """The line as it may be shown; what was removed leaves a mark in its place. A line that gives instructions away or takes them comes back empty."""
        text = redact_text(visible(line))
        for secret in self._secrets:
            text = text.replace(secret, "[redacted:key]")
        squeezed = _squeezed(text)
        if ADDRESSES_A_MODEL.search(text) or any(sentence in squeezed for sentence in self._prompt):
            self.removed += 1
            return ""
        text = without_links(text, self._addresses())
        text = self._commands(text)
        text = self._settings(text)
        return self._numbers(self._citations(text))

    def _addresses(self) -> Collection[str]:
        return {source["source"] for source in self.sources}

    def _citations(self, text: str) -> str:
        return _CITED.sub(lambda m: m[0] if 1 <= int(m[1]) <= len(self.sources) else "", text)

    def _commands(self, text: str) -> str:
        if not _COMMAND.search(text):
            return text
        cut = _META.sub("", text)
        self.removed += cut != text
        return cut

    def _settings(self, text: str) -> str:
        def value(match: re.Match[str]) -> str:
            key, bare = match["key"].rstrip("."), match["value"].strip("`'\"").rstrip(".,;:)")
            fact = known(key)
            if fact is None or (match["sign"].strip(" `'\"") in (":", ",") and not re.match(r"[\d`'\"]|true|false", match["value"])):
                return match[0]
            form = _BY_KIND.get(fact.kind.partition(":")[0], _PLAIN_VALUE)
            if form.fullmatch(bare) or self.grounds.says(f"{key}={bare}"):
                return match[0]
            if match["sign"].strip(" `'\"") != "=" and not re.search(r"[;|&$<>(){}]", bare):
                return match[0]  # prose: "spark.x: see below"
            self.removed += 1
            return f"{match['key']}{match['sign']}{NO_VALUE}"

        def key(match: re.Match[str]) -> str:
            name = match[0].rstrip(".-")
            if (
                exists(name)
                or (_CODE.match(name) and not exists(name) and name.count(".") <= 2)
                or (name.count(".") < 2 and self._is_code(name))
            ):
                return match[0]
            self.removed += 1
            return NO_KEY + match[0][len(name) :]

        return _KEY.sub(key, _ASSIGNED.sub(value, text))

    @staticmethod
    def _is_code(name: str) -> bool:
        return _CODE.match(name) is not None

    def _numbers(self, text: str) -> str:
        marker = _MARKER.match(text)
        skip = [(0, marker.end())] if marker is not None else []
        skip += [m.span() for m in _CITED.finditer(text)] + [m.span() for m in _ORDINAL.finditer(text)]
        skip += [m.span() for m in _KEY.finditer(text)]
        skip += [m.span() for source in self._addresses() for m in re.finditer(re.escape(source), text)]
        out, at = [], 0
        for q in quantities(text):
            if any(start <= q.start and q.end <= end for start, end in skip) or self.grounds.holds(q) or self._is_name(text, q):
                continue
            out += [text[at : q.start], NO_NUMBER]
            at = q.end
            self.removed += 1
        return "".join([*out, text[at:]])

    def _is_name(self, text: str, q: Quantity) -> bool:
        """A number inside a name that the results hold (`app-20240101`, `spill@stage:4.0`)."""
        start, end = q.start, q.end
        while start > 0 and not text[start - 1].isspace() and text[start - 1] not in "`'\"()[],":
            start -= 1
        while end < len(text) and not text[end].isspace() and text[end] not in "`'\"()[],":
            end += 1
        word = text[start:end].rstrip(".:;!?")
        return any(c.isalpha() for c in word) and len(word) > q.end - q.start and self.grounds.says(word)

    def used(self, text: str) -> list[dict[str, str]]:
        """The sources that an answer cites, in their order."""
        cited = sorted({int(n) for n in _CITED.findall(text)})
        return [self.sources[n - 1] for n in cited if 1 <= n <= len(self.sources)]


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


def as_json(value: Any) -> Any:
    """A tool's pydantic result as JSON data."""
    return json.loads(value.model_dump_json(by_alias=True))
