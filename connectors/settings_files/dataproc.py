"""gcloud dataproc: clusters, jobs and serverless batches."""

import re
from collections.abc import Sequence

from spark_copilot.connectors.settings_files.base import Collector
from spark_copilot.connectors.settings_files.tokens import Word
from spark_copilot.rules_engine.gate.setting import Place

_PREFIXES = frozenset(
    [
        "spark",
        "spark-env",
        "core",
        "hdfs",
        "yarn",
        "mapred",
        "hive",
        "dataproc",
        "capacity-scheduler",
        "hadoop-env",
        "zookeeper",
        "tez",
        "pig",
        "presto",
        "hbase",
        "zeppelin",
        "flink",
    ]
)


def split_properties(text: str) -> list[str]:
    """The pairs of a --properties value, with gcloud's other delimiter (^#^) understood."""
    delimiter = ","
    match = re.match(r"\^(.+?)\^", text)
    if match:
        delimiter, text = match[1], text[match.end() :]
    return [pair for pair in text.split(delimiter) if pair.strip()]


def gcloud(out: Collector, words: Sequence[Word], scope: str) -> None:
    """One gcloud command; what stands after -- belongs to the application."""
    plain = [w.text for w in words]
    what = next((kind for kind in ("batches", "jobs", "clusters") if kind in plain[:6]), None)
    if what is None:
        return
    python = "pyspark" in plain[:8]
    out.mark("platform", words[0].line, "dataproc-serverless" if what == "batches" else "dataproc", scope=scope)
    if python:
        out.mark("language", words[0].line, "python", scope=scope)
    for at, word in enumerate(words):
        if word.text == "--":
            return
        name, equals, inline = word.text.partition("=")
        value = Word(inline, word.line, word.column, word.known) if equals else words[at + 1] if at + 1 < len(words) else None
        if value is None:
            continue
        if name in ("--version", "--image-version") and value.known:
            out.mark(
                "vendor-version", value.line, value.text, scope=scope, vendor="dataproc-serverless" if what == "batches" else "dataproc"
            )
        if name == "--properties":
            _properties(out, value, scope, what)


def _properties(out: Collector, value: Word, scope: str, what: str) -> None:
    for pair in split_properties(value.text):
        key, _, text = pair.strip().partition("=")
        known = "$" not in text and "`" not in text
        if what == "clusters":
            prefix, colon, rest = key.partition(":")
            if not colon:
                if key.startswith("spark."):
                    out.mark(
                        "dataproc-prefix",
                        value.line,
                        f"{key} has no prefix that names its file",
                        scope=scope,
                        column=value.column,
                        key=key,
                        fix=f"write spark:{key}",
                    )
                continue
            if prefix != "spark":
                continue
            key = rest
        elif ":" in key and key.partition(":")[0] in _PREFIXES:
            rest = key.partition(":")[2]
            out.mark(
                "dataproc-prefix",
                value.line,
                f"{key}: properties of a job have no prefix",
                scope=scope,
                column=value.column,
                key=rest,
                fix=f"write {rest}",
            )
            continue
        out.set(
            key,
            text if known else None,
            value.line,
            Place.DEFAULTS if what == "clusters" else Place.CONF,
            column=value.column,
            scope=scope,
            origin="--properties",
        )
