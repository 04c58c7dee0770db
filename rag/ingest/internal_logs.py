"""A team's own knowledge: driver and executor logs, past reports of this program, runbooks in Markdown, text and PDF."""

import json
import re
from collections import Counter
from pathlib import Path

from pydantic import ValidationError

from spark_copilot.rag.ingest.document import MAX_BYTES, Document, UnreadableDocument, clean_markdown, read_text
from spark_copilot.rules_engine.findings import Report

_LOG_LINE = re.compile(
    r"^(?:\[?\d{2,4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}[.,\d]*Z?\]?\s+)(?:\S+\s+)?(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL)\b\s*(.*)$"
)
_FOLD = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27,}\b|0x[0-9a-f]+|\d+")
_MOST = 300
"""Kinds of message kept of one log, most frequent first."""


def load_log(source: str, text: str) -> Document:
    """Warnings and errors of a log with the first lines of their stack traces, equal ones folded with their count."""
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    message: list[str] = []

    def note() -> None:
        if message:
            folded = _FOLD.sub("N", message[0])
            counts[folded] += 1
            first.setdefault(folded, "\n".join(message))
        message.clear()

    for line in text.splitlines():
        match = _LOG_LINE.match(line)
        if match is not None:
            note()
            if match[1] in ("WARN", "WARNING", "ERROR", "FATAL"):
                message.append(f"{match[1]} {match[2]}"[:600])
        elif (
            message
            and len(message) < 8
            and (line.startswith(("Caused by", "\tat ", "  File ", "Traceback")) or re.match(r"[\w.]+(?:Exception|Error)\b", line))
        ):
            message.append(line.strip()[:300])
    note()
    parts = [f"## Seen {counts[folded]} times\n\n{first[folded]}" for folded, _ in counts.most_common(_MOST)]
    return Document(source, f"Log {Path(source).name}", "\n\n".join(parts), "log")


def is_log(text: str) -> bool:
    """Whether the text looks like log4j output: a fifth of its first lines has a time and a level."""
    lines = [line for line in text[:20_000].splitlines() if line.strip()][:100]
    return bool(lines) and sum(bool(_LOG_LINE.match(line)) for line in lines) * 5 >= len(lines)


def load_report(source: str, text: str) -> Document | None:
    """A report of this program (`analyze --format json`) in words; None when the JSON is something else."""
    try:
        report = Report.model_validate_json(text)
    except ValidationError:
        return None
    lines = [report.verdict]
    for finding in report.findings:
        changes = " ".join(change.text for change in finding.changes)
        lines.append(
            f"## {finding.title} ({finding.severity.value})\n\n{finding.code} at {finding.where.short}. {finding.because} {changes}".strip()
        )
    return Document(source, f"Report of {report.application.name} ({report.application.id})", "\n\n".join(lines), "report")


def load_pdf(path: Path, source: str) -> Document:
    """The text of a PDF, one heading a page."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(path)
        pages = [page.extract_text() or "" for page in reader.pages[:2000]]
        title = (reader.metadata.title if reader.metadata is not None else None) or path.stem
    except (PyPdfError, ValueError, KeyError, OSError) as error:
        raise UnreadableDocument(source, f"not a readable PDF: {error}") from None
    return Document(source, title, "\n\n".join(f"# Page {n}\n\n{text}" for n, text in enumerate(pages, 1) if text.strip()), "runbook")


def load_file(path: Path, source: str) -> Document:
    """One file by its kind: PDF, report, log, Markdown or plain text."""
    if path.suffix.lower() == ".pdf":
        return load_pdf(path, source)
    with path.open("rb") as handle:
        text = read_text(source, handle.read(MAX_BYTES))
    if path.suffix.lower() == ".json" or text.lstrip().startswith('{"'):
        report = load_report(source, text)
        if report is not None:
            return report
        try:
            json.loads(text)
        except ValueError:
            raise UnreadableDocument(source, "neither JSON nor a report of this program") from None
        raise UnreadableDocument(source, "JSON, but no report of this program")
    if is_log(text):
        return load_log(source, text)
    title, text = clean_markdown(text, path.stem)
    return Document(source, title, text, "runbook")
