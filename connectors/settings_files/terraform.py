"""Terraform: clusters and jobs of EMR, Databricks, Dataproc and Glue. Read line by line, since expressions need no evaluation here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from spark_copilot.connectors.settings_files import emr, others
from spark_copilot.connectors.settings_files.base import Broken, Collector, Reader
from spark_copilot.connectors.settings_files.nodes import parse_json
from spark_copilot.connectors.settings_files.submit import TOOLS, read_submit
from spark_copilot.connectors.settings_files.tokens import Word
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_RESOURCE = re.compile(r'^\s*(?:resource|data)\s+"(?P<type>[\w-]+)"\s+"(?P<name>[\w-]+)"\s*\{', re.MULTILINE)
_PAIR = re.compile(r'^(?P<indent>\s*)(?:"(?P<quoted>[^"]+)"|(?P<bare>[\w.\-]+))\s*[=:]\s*(?P<value>.*?),?\s*$')
_INNER = re.compile(r'(?:"(?P<quoted>[^"]+)"|(?P<bare>[\w.\-]+))\s*[=:](?!=)\s*(?P<value>"(?:[^"\\]|\\.)*"|[^,{}"]+)')
_ARGS = re.compile(r"\bargs\s*=\s*\[([^\]]*)\]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_HEREDOC = re.compile(r"<<-?\s*\"?(\w+)\"?\s*\n(.*?)\n\s*\1\s*$", re.DOTALL | re.MULTILINE)
_PLATFORM = {
    "aws_emrserverless": "emr-serverless",
    "aws_emr": "emr",
    "databricks": "databricks",
    "google_dataproc": "dataproc",
    "aws_glue": "glue",
}


def matches(path: str, text: str) -> bool:
    """A .tf file that mentions Spark or a job's --conf."""
    return path.endswith((".tf", ".tf.json")) and not path.endswith(".json") and re.search(r"spark|\"--conf\"", text) is not None


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    name: str
    line: int
    text: str


def _blocks(text: str) -> Iterator[_Block]:
    line, counted = 1, 0
    for match in _RESOURCE.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        depth, at, quoted = 1, match.end(), False
        while at < len(text) and depth:
            sign = text[at]
            if sign == '"' and text[at - 1] != "\\":
                quoted = not quoted
            elif sign == "\n":
                quoted = False
            elif not quoted:
                depth += sign == "{"
                depth -= sign == "}"
            at += 1
        yield _Block(match["type"], match["name"], line, text[match.start() : at])


def read(file: str, text: str) -> SettingsFile:
    """Every resource of a platform that runs Spark, one scope each."""
    out = Collector(file, "terraform")
    for block in _blocks(text):
        platform = next((p for prefix, p in _PLATFORM.items() if block.kind.startswith(prefix)), None)
        if block.kind == "google_dataproc_batch":
            platform = "dataproc-serverless"
        if platform is not None:
            _block(out, block, platform)
    return out.done()


def _block(out: Collector, block: _Block, platform: str) -> None:
    scope = f"{block.kind}.{block.name}"
    out.mark("platform", block.line, platform, scope=scope)
    for match in _HEREDOC.finditer(block.text):
        _json(out, match[2], block.line + block.text.count("\n", 0, match.start(2)), scope)
    if platform == "emr":
        _steps(out, block, scope)
    facts: dict[str, str] = {}
    places: dict[str, int] = {}
    classification = ""
    for number, line in enumerate(_HEREDOC.sub(lambda m: "\n" * m[0].count("\n"), block.text).split("\n"), block.line):
        for name, value, column in _pairs(line):
            facts.setdefault(name, value or "")
            places.setdefault(name, number)
            if name.lower() == "classification":
                classification = value or ""
                out.mark("emr-classification", number, classification, scope=scope, column=column)
            elif platform == "glue" and name.startswith("--"):
                others.glue_argument(out, name, value, number, column, scope)
            elif platform == "dataproc" and block.kind == "google_dataproc_cluster":
                others.cluster_property(out, name, value, number, column, scope)
            elif name.startswith("spark."):
                if platform == "emr" and classification and classification != "spark-defaults":
                    out.mark("emr-property", number, name, scope=scope, column=column, classification=classification, value=value or "")
                else:
                    out.set(name, value, number, Place.DEFAULTS, column=column, scope=scope)
            elif name == "maximizeResourceAllocation":
                out.mark("emr-property", number, name, scope=scope, column=column, classification=classification, value=value or "")
    _facts(out, facts, places, platform, scope, block)


def _pairs(line: str) -> Iterator[tuple[str, str | None, int]]:
    """(name, value where it is literal, column) of a line; of a map on one line all that is in it."""
    pair = _PAIR.match(line.split(" #")[0] if not line.lstrip().startswith("#") else "")
    if pair is None:
        return
    if not pair["value"].startswith(("{", "[{")):
        yield pair["quoted"] or pair["bare"], _literal(pair["value"]), len(pair["indent"]) + 1
        return
    for inner in _INNER.finditer(line, pair.start("value")):
        yield inner["quoted"] or inner["bare"], _literal(inner["value"]), inner.start() + 1


def _steps(out: Collector, block: _Block, scope: str) -> None:
    for match in _ARGS.finditer(block.text):
        words = []
        for text in _QUOTED.finditer(block.text, match.start(1), match.end(1)):
            row = block.text.rfind("\n", 0, text.start()) + 1
            line = block.line + block.text.count("\n", 0, text.start())
            words.append(Word(text[1], line, text.start() - row + 1, "${" not in text[1]))
        start = next((i for i, w in enumerate(words) if w.text.rsplit("/", 1)[-1] in TOOLS), None)
        if start is not None:
            step = f"{scope}/step@{words[start].line}"
            out.mark("platform", words[start].line, "emr", scope=step)
            read_submit(out, words[start], words[start + 1 :], step)


def _facts(out: Collector, facts: dict[str, str], places: dict[str, int], platform: str, scope: str, block: _Block) -> None:
    for name, vendor in (
        ("spark_version", "databricks"),
        ("release_label", "emr"),
        ("glue_version", "glue"),
        ("image_version", "dataproc"),
    ):
        if facts.get(name):
            out.mark("vendor-version", places[name], facts[name], scope=scope, vendor=vendor)
    if platform == "databricks" and (facts.get("node_type_id") or facts.get("num_workers") or "new_cluster" in block.text):
        out.mark(
            "databricks-cluster",
            places.get("num_workers", block.line),
            "cluster",
            scope=scope,
            num_workers=facts.get("num_workers", ""),
            tag=facts.get("ResourceClass", ""),
            is_single_node=facts.get("is_single_node", ""),
            open="true" if "policy_id" in facts or block.text.count("new_cluster") > 1 else "",
        )


def _literal(text: str) -> str | None:
    text = text.strip().rstrip(",")
    if re.fullmatch(r'"(?:[^"\\]|\\.)*"', text):
        return None if "${" in text else text[1:-1].replace('\\"', '"')
    return text if re.fullmatch(r"-?\d+(?:\.\d+)?|true|false", text) else None


def _json(out: Collector, text: str, line: int, scope: str) -> None:
    part = Collector(out.file, "emr")
    try:
        doc = parse_json(re.sub(r"\$\{[^}]*\}", "0", text))[0]
    except Broken:
        return
    if emr.is_configurations(doc):
        emr.configurations(part, doc, scope)
        out.settings += [replace(s, line=s.line + line - 1) for s in part.settings]
        out.marks += [replace(m, line=m.line + line - 1) for m in part.marks]


READER = Reader("terraform", matches, read)
