"""An event log that may leave the house: names, paths, hosts, users and literals replaced, each by the same word everywhere, figures untouched.

What is scrubbed: hosts and addresses, users, the application's name, groups, mail addresses, paths and bucket names, table and column names of
plans, text in quotes and text compared with in plans and SQL, and every secret that the reader would mask. What stays: settings' names and numbers,
operators, metrics, times, sizes, call sites and stack traces of classes.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from spark_copilot.connectors.eventlog import ReadLimits, raw_lines
from spark_copilot.rules_engine.redact import Redactor

_REMEMBERED_CHARS = 64 << 20
BROKEN = b'{"Event":"\n'
"""Stands for a line that cannot be read, so that the scrubbed log has as many of them."""

_MAIL = re.compile(r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,5}")
_ADDRESS = re.compile(r"\b(?!127\.0\.0\.1\b)\d{1,3}(?:\.\d{1,3}){3}\b")
_URL = re.compile(r"\b(?P<scheme>[a-z][a-z0-9+\-]{1,12}):(?P<slashes>/{1,3})(?P<rest>[^\s,\]\[()\"'<>;|]{1,2000})")
_PATH = re.compile(r"(?<![\w.$\-/:])/(?P<rest>[^\s,\]\[()\"'<>;|:]{2,2000})")
_QUOTED = re.compile(r"'(?P<text>[^'\n]{1,2000})'")
_MESSAGE = re.compile(r'(?P<head>\b(?:string|sql|unparsed_identifier|name|fragment|query): )"(?P<text>(?:[^"\\\n]|\\.){1,2000})"')
"""Fields of a Spark Connect request, as its messages are written out."""
_COLUMN = re.compile(r"(?<![\w#.])(?P<name>[A-Za-z_][\w$]{0,200}(?:\.[\w$]{1,200}){0,5})(?=#\d)")
_BLANK_COLUMN = re.compile(
    r"(?P<head>[\[(,]\s?)(?!(?:NOT|DISTINCT|CASE|cast)\s)(?P<name>[A-Za-z_][\w$]{0,100}(?:\s[\w$]{1,100}){1,8})(?=#\d)", re.IGNORECASE
)
_FIELD = re.compile(r"(?<=[<,])(?P<name>[A-Za-z_][\w$ ]{0,200})(?=:[a-z])")
_SCAN = re.compile(
    r"(?P<head>\b(?:Scan|BatchScan|FileScan|HiveTableScan|Execute \w+|Relation)\s(?:\w+\s)?)(?P<name>[`\w$]{1,200}(?:\.[`\w$]{1,200}){1,4})"
)
_COMPARED = re.compile(
    r"(?P<head>\s(?:=|<=>|>|<|>=|<=|LIKE|RLIKE)\s)(?P<text>[^\s()#,\[\]][^()#,\[\]\n]{0,500}?)(?=\s(?:AND|OR|THEN|ESCAPE)\s|[),\]\n]|$)"
)
"""Plans write text without quotes, blanks and all."""
_LISTED = re.compile(r"(?P<head>\bIN(?:SET)?\s\(?)(?P<text>[^()#\[\]\n]{1,4000})(?=\)|$)")
_CHOSEN = re.compile(r"(?P<head>\b(?:THEN|ELSE)\s)(?P<text>[^()#\[\]\n]{1,500}?)(?=\s(?:WHEN|ELSE|END)\b)")
_NAMED = re.compile(r"(?P<head>[\[,]\s?)(?P<text>[^()#,\[\]\n]{1,500})(?=\sAS\s[^\s#]{1,200}#\d)")
_CALL = re.compile(
    r"(?P<head>\b(?:contains|startswith|endswith|like|rlike|replace|regexp_replace|regexp_extract|regexp_extract_all|split|concat|concat_ws|coalesce|nvl|ifnull"
    r"|nullif|if|instr|locate|lpad|rpad|translate|element_at|get_json_object|json_tuple|array_contains|find_in_set|array_position|map|named_struct|struct)\()"
    r"(?P<text>[^()\n]{1,4000})(?=\))",
    re.IGNORECASE,
)
_CUT = re.compile(r"(?<![\w#.])(?P<name>[A-Za-z_]\w{2,200})(?=\.\.\.)")
"""A name that Spark cut with the list it stood in."""
_BACKTICKED = re.compile(r"`(?!spark\.)(?P<name>[^`\n]{1,200})`")
_PUSHED = re.compile(
    r"(?P<head>\b(?:EqualTo|EqualNullSafe|GreaterThan|GreaterThanOrEqual|LessThan|LessThanOrEqual|In|StringStartsWith|StringEndsWith|StringContains"
    r"|IsNotNull|IsNull|Not)\()(?P<name>[A-Za-z_][\w.$]{0,200})(?P<text>,[^()]{0,2000})?(?=\))"
)
_NUMBER = re.compile(r"[-+]?[\d.]{1,30}(?:[eE][-+]?\d{1,3})?[LDFS]?(?:BD)?|true|false|null", re.IGNORECASE)
_OF_A_BATCH = re.compile(r"\nid = [0-9a-f-]{36}\nrunId = [0-9a-f-]{36}\nbatch = (?:\d{1,18}|init)\Z")
"""How Spark ends the description of a micro-batch's queries: its own ids, which tell which queries belong together."""
_CLASS_FILE = re.compile(r"[\w$<>]{1,200}\.(?:java|scala|py|sql|kt)(?::\d+)?")
_KEPT_SEGMENTS = frozenset({"_delta_log", "_temporary", "_SUCCESS", "tmp", "user", "jars", "java.base", ""})
_HOST_KEYS = frozenset({"Host", "spark.driver.host", "spark.driver.bindAddress", "NM_HOST"})
_USER_KEYS = frozenset({"User", "user.name", "USER", "userId", "userName"})
_NAME_KEYS = {"App Name": "app", "spark.app.name": "app", "spark.jobGroup.id": "group"}
_KEPT_KEYS = frozenset(
    {"Event", "Reason", "Locality", "Executor ID", "Task Type", "metricType", "Class Name", "Spark Version", "DeterministicLevel", "Result", "App ID",
     "Scope", "App Attempt ID", "spark.app.id", "spark.sql.execution.id", "id", "runId", "timestamp", "spark.master"}
)  # fmt: skip
_COMMON_USERS = frozenset({"root", "spark", "hadoop", "user", "driver"})


class Scrubber:
    """Replaces consistently: `learn` every line first, then `line` each."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._redactor = Redactor()
        self._known: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None
        self._secrets: Callable[[str], str] | None = None
        self._seen: dict[tuple[str, str], str] = {}
        self._room = _REMEMBERED_CHARS

    def learn(self, line: bytes) -> None:
        """Note the hosts, users and names a line tells, to find them where nothing says what they are."""
        event = _decoded(line)
        todo: list[Any] = [event]
        while todo:
            value = todo.pop()
            if isinstance(value, list):
                todo.extend(value)
            elif isinstance(value, dict):
                for key, inner in value.items():
                    if isinstance(inner, dict | list):
                        todo.append(inner)
                    elif isinstance(inner, str):
                        self._learn(key, inner)

    def _learn(self, key: str, value: str) -> None:
        self._redactor.setting(key, value)
        if key in _HOST_KEYS and len(value) > 3 and value not in ("localhost", "127.0.0.1"):
            self._known.setdefault(value, self._word("host", value))
        elif key in _USER_KEYS and len(value) > 2 and value not in _COMMON_USERS:
            self._known.setdefault(value, self._word("user", value))
        elif key in _NAME_KEYS and len(value) > 4:
            self._known.setdefault(value, self._word(_NAME_KEYS[key], value))

    def line(self, line: bytes) -> bytes:
        """The line, scrubbed."""
        if not line.strip():
            return b"\n"
        event = _decoded(line)
        if not isinstance(event, dict):
            return BROKEN
        try:
            return orjson.dumps(self._value("", event)) + b"\n"
        except (TypeError, ValueError, RecursionError):
            return BROKEN

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, list):
            return [self._value(key, item) for item in value]
        if isinstance(value, dict):
            renamed = key in ("Classpath Entries", "metadata")
            return {self._text("", k) if renamed and "/" in k else k: self._value(k, v) for k, v in value.items()}
        return value

    def _text(self, key: str, text: str) -> str:
        if key in _KEPT_KEYS or len(text) < 2:
            return text
        known = self._seen.get((key, text))
        if known is None:
            known = self._scrubbed(key, text)
            if len(text) <= self._room:
                self._room -= len(text)
                self._seen[key, text] = known
        return known

    def _scrubbed(self, key: str, text: str) -> str:
        if key in _NAME_KEYS:
            return self._word(_NAME_KEYS[key], text)
        if key in _USER_KEYS and text not in _COMMON_USERS:
            return self._word("user", text)
        if tail := _OF_A_BATCH.search(text):
            return self._scrubbed(key, text[: tail.start()]) + tail[0]
        self._secrets = self._secrets or self._redactor.learned_mask()
        text = self._secrets(self._redactor.setting(key, text))
        if self._known:
            self._pattern = self._pattern or re.compile("|".join(re.escape(word) for word in sorted(self._known, key=len, reverse=True)))
            text = self._pattern.sub(lambda m: self._known[m[0]], text)
        text = _MAIL.sub(lambda m: self._word("mail", m[0]), text)
        text = _ADDRESS.sub(lambda m: self._word("host", m[0]), text)
        text = _URL.sub(lambda m: f"{m['scheme']}:{m['slashes']}{self._path(m['rest'])}", text)
        text = _PATH.sub(lambda m: "/" + self._path(m["rest"]), text)
        text = _SCAN.sub(lambda m: m["head"] + self._word("table", m["name"]), text)
        text = _PUSHED.sub(self._pushed, text)
        text = _BACKTICKED.sub(lambda m: f"`{self._column(m['name'])}`", text)
        text = _BLANK_COLUMN.sub(lambda m: m["head"] + self._word("column", m["name"]), text)
        text = _COLUMN.sub(lambda m: self._word("column", m["name"]), text)
        text = _FIELD.sub(lambda m: self._word("column", m["name"]), text)
        if "#" in text:  # an expression of a plan
            text = _CALL.sub(self._listed, _LISTED.sub(self._listed, text))
            for pattern in (_CHOSEN, _NAMED):
                text = pattern.sub(lambda m: m["head"] + self._literal(m["text"]), text)
            text = _CUT.sub(lambda m: self._column(m["name"]), text)
        text = _COMPARED.sub(lambda m: m["head"] + self._literal(m["text"]), text)
        text = _QUOTED.sub(lambda m: f"'{self._literal(m['text'])}'", text)
        return _MESSAGE.sub(lambda m: f'{m["head"]}"{self._literal(m["text"])}"', text)

    def _pushed(self, match: re.Match[str]) -> str:
        values = "," + ",".join(self._literal(one.strip()) for one in match["text"][1:].split(",")) if match["text"] else ""
        return match["head"] + self._word("column", match["name"]) + values

    def _listed(self, match: re.Match[str]) -> str:
        return match["head"] + ",".join(self._item(one) for one in match["text"].split(","))

    def _item(self, text: str) -> str:
        """One of several, with the blanks around it; references to columns were replaced before."""
        inner = text.strip()
        return text if not inner or "#" in inner or inner.startswith("`") else text.replace(inner, self._literal(inner))

    def _column(self, name: str) -> str:
        return name if name.startswith(("column_", "table-")) else self._word("column", name)

    def _literal(self, text: str) -> str:
        return text if _NUMBER.fullmatch(text) or text.startswith(("text-", "column-", "[redacted:")) else self._word("text", text)

    def _path(self, rest: str) -> str:
        return "/".join(self._segment(segment) for segment in rest.split("/"))

    def _segment(self, segment: str) -> str:
        if (
            segment in _KEPT_SEGMENTS
            or _CLASS_FILE.fullmatch(segment)
            or segment.startswith(("host-", "user-", "path-", "app-", "[redacted:"))
        ):
            return segment
        name, dot, ending = segment.rpartition(".")
        return (
            self._word("path", name) + dot + ending
            if dot and 1 <= len(ending) <= 8 and ending.isalnum() and name
            else self._word("path", segment)
        )

    def _word(self, kind: str, text: str) -> str:
        known = self._words.get((kind, text))
        if known is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._words[kind, text] = f"{kind}-{number}" if kind != "column" else f"column_{number}"
        return known


def scrub(lines: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Every line scrubbed, in order. `lines` is called twice: a host is told by one line and stands in lines before it."""
    scrubber = Scrubber()
    for line in lines():
        scrubber.learn(line)
    for line in lines():
        yield scrubber.line(line)


def scrub_log(log: Path, out: Path, *, limits: ReadLimits | None = None) -> int:
    """Write the scrubbed log as plain JSON lines; the number of lines.

    Raises:
        NotFound: no such log.
        BadInput: it is no event log; nothing is written.
    """
    count = 0
    building = out.with_name(out.name + ".part")
    try:
        with building.open("wb") as target:
            for line in scrub(lambda: raw_lines(log, limits=limits)):
                target.write(line)
                count += 1
        building.replace(out)
    finally:
        building.unlink(missing_ok=True)
    return count


def _decoded(line: bytes) -> Any:
    try:
        return orjson.loads(line.strip().removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        return None
