"""Settings files: one reader a format, and the table that says which reader takes a file. First match wins."""

from spark_copilot.connectors.settings_files import documents, notebook, properties, python, scala, shell, sql, terraform
from spark_copilot.connectors.settings_files.base import Reader
from spark_copilot.rules_engine.gate.setting import SettingsFile

READERS: tuple[Reader, ...] = (
    notebook.READER,
    python.READER,
    sql.READER,
    scala.READER,
    shell.READER,
    terraform.READER,
    documents.READER,
    properties.READER,
)
"""Every format, in the order in which a file is offered to them."""


def read_text(file: str, text: str) -> SettingsFile | None:
    """The settings of one file; None when no format takes it."""
    for reader in READERS:
        if reader.matches(file, text):
            return reader.read(file, text)
    return None
