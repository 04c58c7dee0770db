"""Scala, Java and Kotlin: the same calls as in Python, found in the text with comments taken out."""

import re
from bisect import bisect_left
from itertools import chain

from spark_copilot.connectors.settings_files import sql
from spark_copilot.connectors.settings_files.base import Collector, Reader
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_COMMENT = re.compile(r"(\"\"\".*?\"\"\"|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)')|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_VALUE = r"(?P<value>[sf]?\"\"\".*?\"\"\"|[sf]?\"(?:[^\"\\\n]|\\.)*\"|[^,()\n]+(?:\([^()]*\))?)"
_CALL = re.compile(
    r"\.\s*(?P<name>config|set|setIfMissing|setConf|put|option)\s*\(\s*\"(?P<key>spark\.[^\"]+|[A-Za-z][\w.\-]+\.[\w.\-]+)\"\s*,\s*"
    + _VALUE
    + r"\s*\)",
    re.DOTALL,
)
_NAMED = re.compile(r"\.\s*(?P<name>config|set|setIfMissing|setConf)\s*\(\s*(?P<key>[A-Za-z_][\w.]*)\s*,\s*" + _VALUE + r"\s*\)", re.DOTALL)
"""As `_CALL`, the key a constant of the file."""
_PAIR = re.compile(r"\"(?P<key>spark\.[^\"]+)\"\s*(?:->|to)\s*" + _VALUE, re.DOTALL)
_MASTER = re.compile(r"\.\s*(?:master|setMaster)\s*\(\s*(?P<value>\"[^\"]*\")\s*\)")
_SQL = re.compile(r"\.\s*sql\s*\(\s*(?P<value>[sf]?\"\"\".*?\"\"\"|[sf]?\"(?:[^\"\\\n]|\\.)*\")", re.DOTALL)
_CONSTANT = re.compile(
    r"\b(?:val|final\s+(?:static\s+)?\w+|static\s+final\s+\w+|const\s+val)\s+(?P<name>\w+)\s*(?::\s*\w+)?\s*=\s*(?P<value>\"[^\"\n]*\"|-?\d+L?)\s*(?:;|$)",
    re.MULTILINE,
)
_OVERWRITE = re.compile(r"\.\s*write\b(?P<chain>(?:\s*\.\s*\w+\s*(?:\((?:[^()]|\([^()]*\))*\))?)+)")
_ARITHMETIC = re.compile(r"[\d\s*+\-LlKk().]+\Z")


def matches(path: str, text: str) -> bool:
    """By extension, and Spark in the text."""
    return path.endswith((".scala", ".java", ".kt", ".sc")) and "spark" in text


class _Text:
    def __init__(self, text: str) -> None:
        self.text = _COMMENT.sub(lambda m: m[1] if m[1] is not None else re.sub(r"[^\n]", " ", m[0]), text)
        self.breaks = [m.start() for m in re.finditer("\n", self.text)]
        self.constants: dict[str, str | None] = {}
        for match in _CONSTANT.finditer(self.text):
            name = match["name"]
            self.constants[name] = None if name in self.constants else match["value"]

    def place(self, at: int) -> tuple[int, int]:
        row = bisect_left(self.breaks, at)
        return row + 1, at - (self.breaks[row - 1] if row else -1)

    def value(self, text: str, depth: int = 0) -> str | None:
        text = text.strip()
        if text[:1] in "sf" and text[1:2] == '"':
            return None if "$" in text else self.value(text[1:])
        if text.startswith('"""'):
            return text[3:-3]
        if text.startswith('"'):
            return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.endswith('"') and '"' not in text[1:-1].replace('\\"', "") else None
        if text in ("true", "false"):
            return text
        if re.fullmatch(r"-?\d+[Ll]?", text) or re.fullmatch(r"-?\d*\.\d+[dDfF]?", text):
            return text.rstrip("LldDfF")
        if depth < 3 and re.fullmatch(r"[A-Za-z_][\w.]*", text):
            held = self.constants.get(text.rsplit(".", 1)[-1])
            return None if held is None else self.value(held, depth + 1)
        if _ARITHMETIC.match(text) and "*" in text:
            product = 1
            for factor in text.split("*"):
                digits = factor.strip().rstrip("Ll")
                if not digits.isdigit():
                    return None
                product *= int(digits)
            return str(product)
        return None


def read(file: str, text: str) -> SettingsFile:
    """Every setting the text surely makes."""
    out = Collector(file, "scala")
    code = _Text(text)
    out.mark("language", 1, "scala")
    for match in chain(_CALL.finditer(code.text), _NAMED.finditer(code.text)):
        name, key = match["name"], match["key"]
        if match.re is _NAMED:
            key = code.value(key) or ""
            if not key.startswith("spark."):
                continue
        before = re.sub(r"\s+", "", code.text[max(0, match.start() - 160) : match.start()])
        place = _place(name, before, key)
        if place is None:
            continue
        line, column = code.place(match.start("key"))
        out.set(key, code.value(match["value"]), line, place, column=column, origin="conf-copy" if place is Place.LATE else f"line{line}")
    for match in _PAIR.finditer(code.text):
        line, column = code.place(match.start("key"))
        out.set(match["key"], code.value(match["value"]), line, Place.CODE, column=column, origin=f"line{line}")
    for match in _MASTER.finditer(code.text):
        line, column = code.place(match.start("value"))
        out.set("spark.master", code.value(match["value"]), line, Place.CODE, column=column, origin=f"line{line}")
    for match in _SQL.finditer(code.text):
        body = code.value(match["value"])
        if body is not None:
            sql.collect(out, body, first_line=code.place(match.start("value"))[0])
    _marks(out, code)
    out.settings.sort(key=lambda s: s.line)
    return out.done()


def _place(name: str, before: str, key: str) -> Place | None:
    if name == "setConf" or (name == "set" and re.search(r"(?:\.conf(?:\(\))?|\bruntimeConf(?:ig)?)\Z", before)):
        return Place.RUNTIME
    if not key.startswith("spark.") or name == "option":
        return None
    if re.search(r"getConf(?:\(\))?\Z", before):
        return Place.LATE
    return Place.CODE


def _marks(out: Collector, code: _Text) -> None:
    text = code.text
    for what, pattern in (
        ("kryo-classes", r"registerKryoClasses"),
        ("streaming", r"\b(?:readStream|writeStream|StreamingContext)\b"),
        ("external-write", r"foreachPartition|\.write[\s\S]{0,200}?\.jdbc\(|\.write[\s\S]{0,120}?\.format\(\"(?:jdbc|kafka)\"\)"),
    ):
        match = re.search(pattern, text)
        if match:
            out.mark(what, code.place(match.start())[0])
    for match in _OVERWRITE.finditer(text):
        steps = match["chain"]
        overwrite = re.search(r"\.\s*mode\s*\(\s*(?:SaveMode\.Overwrite|\"overwrite\")\s*\)", steps)
        partition = re.search(r"\.\s*partitionBy\s*\(", steps)
        if overwrite and partition and "replaceWhere" not in steps and "partitionOverwriteMode" not in steps:
            line, column = code.place(match.start("chain") + partition.end() - 1)
            out.mark("partitioned-overwrite", line, column=column)


READER = Reader("scala", matches, read)
