"""Settings files: one reader a format, and the table that says which reader takes a file. First match wins."""

import re
from functools import cache
from importlib import import_module

from spark_copilot.connectors.settings_files.base import Reader
from spark_copilot.rules_engine.gate.setting import SettingsFile

READERS: tuple[tuple[str, str], ...] = (
    (r"\.ipynb\Z", "notebook"),
    (r"\.pyw?\Z", "python"),
    (r"\.(?:sql|hql|sparksql|ddl)\Z", "sql_file"),
    (r"\.(?:scala|java|kt|sc)\Z", "scala"),
    (r"\.(?:ba|z|k)?sh(?:\.\w+)?\Z|\.cmd\Z|(?:\A|/)[^./]+\Z", "shell"),
    (r"\.tf\Z", "terraform"),
    (r"\.(?:jsonc?|ya?ml(?:\.(?:j2|tpl))?)\Z", "documents"),
    (r"\.(?:conf|properties)(?:\.[\w\-]+)*\Z|(?:\A|/)spark-defaults[\w.\-]*\Z", "properties"),
)
"""(names, module) of every format, in the order in which a file is offered. A module is imported when the first of its files comes:
the gate on one file starts without the parsers of the others."""

_TABLE = tuple((re.compile(pattern, re.IGNORECASE), module) for pattern, module in READERS)


@cache
def reader_of(module: str) -> Reader:
    """The reader of one format."""
    reader: Reader = import_module(f"{__name__}.{module}").READER
    return reader


def read_text(file: str, text: str) -> SettingsFile | None:
    """The settings of one file; None when no format takes it."""
    for names, module in _TABLE:
        if names.search(file) and (reader := reader_of(module)).matches(file, text):
            return reader.read(file, text)
    return None
