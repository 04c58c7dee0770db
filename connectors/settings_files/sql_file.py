"""SQL scripts, and the models of a dbt project."""

from spark_copilot.connectors.settings_files import dbt_model, sql
from spark_copilot.connectors.settings_files.base import Collector, Reader
from spark_copilot.rules_engine.gate.setting import SettingsFile


def matches(path: str, text: str) -> bool:
    """By extension, with a SET in it or a dbt model's own settings."""
    return path.endswith((".sql", ".hql", ".sparksql", ".ddl")) and (sql.SET_HINT.search(text) is not None or dbt_model.hints(text))


def read(file: str, text: str) -> SettingsFile:
    """Every SET of a Spark or Hadoop key, and what a dbt model's `config(…)` says to Spark."""
    out = Collector(file, "sql")
    sql.collect(out, text)
    dbt_model.collect(out, text)
    out.settings.sort(key=lambda s: s.line)
    return out.done()


READER = Reader("sql", matches, read)
