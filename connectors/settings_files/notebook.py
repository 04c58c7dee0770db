"""Notebooks: code cells as one Python module, %%configure, and SQL cells; lines are those of the .ipynb file."""

import json
import re
from dataclasses import replace

from spark_copilot.connectors.settings_files import python, sql
from spark_copilot.connectors.settings_files.base import Broken, Collector, Reader
from spark_copilot.connectors.settings_files.kubernetes import known
from spark_copilot.connectors.settings_files.nodes import Node, parse_json
from spark_copilot.rules_engine.gate.setting import Place, SettingsFile

_LIVY = {
    "executorMemory": "spark.executor.memory", "driverMemory": "spark.driver.memory", "executorCores": "spark.executor.cores",
    "driverCores": "spark.driver.cores", "numExecutors": "spark.executor.instances",
}  # fmt: skip


def matches(path: str, text: str) -> bool:
    """A notebook that mentions Spark."""
    return path.endswith(".ipynb") and "park" in text


def read(file: str, text: str) -> SettingsFile:
    """Every cell in order; a cell that is no Python is left out."""
    out = Collector(file, "notebook")
    try:
        cells = parse_json(text)[0].get("cells")
    except Broken as error:
        return out.broken(error)
    code: list[str] = []
    places: list[int] = [0]
    for cell in cells.elements if cells is not None else []:
        kind, source = cell.get("cell_type"), cell.get("source")
        if kind is not None and kind.text == "code" and source is not None:
            _cell(out, _lines(source), code, places)
    part = Collector(file, "notebook")
    try:
        python.collect(part, python.parse("\n".join(code)))
    except Broken as error:
        at = min(error.line, len(places) - 1)
        return out.broken(Broken(str(error), places[at]))
    out.settings += [replace(s, line=places[min(s.line, len(places) - 1)], column=None) for s in part.settings]
    out.marks += [replace(m, line=places[min(m.line, len(places) - 1)], column=None) for m in part.marks]
    out.settings.sort(key=lambda s: s.line)
    return out.done()


def _lines(source: Node) -> list[tuple[int, str]]:
    pieces = source.elements if source.kind == "list" else [source]
    return [(piece.line, line) for piece in pieces for line in piece.text.rstrip("\n").split("\n")]


def _cell(out: Collector, lines: list[tuple[int, str]], code: list[str], places: list[int]) -> None:
    first = next((text.strip() for _, text in lines if text.strip()), "")
    body = [(at, text) for at, text in lines if not text.strip().startswith("%%")]
    if first.startswith(("%%configure", "%configure")):
        _configure(out, lines)
        return
    if first.startswith(("%%sql", "%sql", "%%sparksql", "%%spark_sql")):
        inline = first.partition(" ")[2] if first.startswith("%sql") else ""
        texts = [(lines[0][0], inline), *[(at, t) for at, t in lines if not t.strip().startswith("%")]]
        _sql(out, texts)
        return
    if first.startswith("%%") and not first.startswith(("%%pyspark", "%%spark", "%%time", "%%capture", "%%python")):
        return
    if first.startswith("%%spark") and "pyspark" not in first and any(t.strip().startswith("val ") for _, t in lines):
        return
    try:
        python.parse("\n".join(_plain(text) for _, text in body))
    except Broken:
        return
    for at, text in body:
        code.append(_plain(text))
        places.append(at)


def _plain(text: str) -> str:
    """A line as Python: magics and shell lines become an empty statement of the same depth."""
    return re.sub(r"^(\s*)[%!?].*$", r"\1pass", text)


def _sql(out: Collector, lines: list[tuple[int, str]]) -> None:
    part = Collector(out.file, out.kind)
    sql.collect(part, "\n".join(text for _, text in lines))
    out.settings += [replace(s, line=lines[min(s.line, len(lines)) - 1][0], column=None) for s in part.settings]


def _configure(out: Collector, lines: list[tuple[int, str]]) -> None:
    text = "\n".join("" if t.strip().startswith("%") and "{" not in t else re.sub(r"^\s*%%?configure\s*(?:-f)?", "", t) for _, t in lines)
    try:
        doc = parse_json(text.strip() and text)[0]
    except (Broken, json.JSONDecodeError):
        return
    conf = doc.get("conf")
    for key, value in conf.items if conf is not None and conf.kind == "map" else ():
        out.set(key.text, known(value), _at(lines, key), Place.CONF, origin="%%configure")
    for key, value in doc.items:
        if key.text in _LIVY:
            out.set(_LIVY[key.text], known(value), _at(lines, key), Place.FLAG, origin=key.text)


def _at(lines: list[tuple[int, str]], node: Node) -> int:
    return lines[min(node.line, len(lines)) - 1][0]


READER = Reader("notebook", matches, read)
