"""The user's index: add files and folders to it, see what it holds, build it again. Incremental by content hash."""

from collections.abc import Callable
from pathlib import Path

from spark_copilot.orchestration.ask import KnowledgePlace
from spark_copilot.rag.ingest.document import Document
from spark_copilot.rag.ingest.load import documents
from spark_copilot.rag.knowledge import VECTORS, bundled, stored_vectors
from spark_copilot.rules_engine.errors import BadInput
from spark_copilot.rules_engine.findings import Value


class Added(Value):
    """What an addition did. `skipped`: a sentence for each file that could not be read."""

    documents: int
    passages: int
    unchanged: int
    removed: int
    skipped: tuple[str, ...]


class IndexStats(Value):
    """What knowledge there is: what ships, and what the user added by source."""

    cards: int
    keys: int
    vectors: int
    documents: int
    passages: int
    sources: dict[str, int]


def add(path: Path, place: KnowledgePlace, *, progress: Callable[[str, int], None] = lambda *_: None) -> Added:
    """Add a file or folder; what is there with the same content stays, what vanished from the folder goes. `progress` hears (source, passages).

    Raises:
        NotFound: there is nothing at the path.
        BadInput: nothing in it can be read.
    """
    path = path.expanduser().absolute()
    skipped: list[str] = []
    index = place.index()
    loaded = documents(path, skipped.append)
    first: Document | None = next(loaded, None)
    if first is None:
        raise BadInput(
            f"{path}: nothing in it can be read", hint=skipped[0] if skipped else "Markdown, HTML, MDX, text, logs, PDF, reports, jars."
        )
    before = {stored.source: stored.digest for stored in index.documents()}
    seen: set[str] = set()
    counts = {"documents": 0, "passages": 0, "unchanged": 0}
    document: Document | None = first
    while document is not None:
        seen.add(document.source)
        if before.get(document.source) == document.digest:
            counts["unchanged"] += 1
        else:
            chunks = document.chunks()
            index.put(document.source, document.digest, chunks)
            counts["documents"] += 1
            counts["passages"] += len(chunks)
            progress(document.source, len(chunks))
        document = next(loaded, None)
    root = str(path)
    unread = {line.partition(":")[0] for line in skipped}
    gone = [s for s in before if s not in seen and (s == root or s.startswith((root + "/", root + "!"))) and s not in unread]
    index.remove(gone)
    return Added(**counts, removed=len(gone), skipped=tuple(skipped))


def stats(place: KnowledgePlace) -> IndexStats:
    """What ships and what was added."""
    knowledge = bundled(place.cards)
    stored = place.index().documents() if place.has_index() else []
    return IndexStats(
        cards=len(knowledge.cards),
        keys=len(knowledge.key_chunks),
        vectors=len(stored_vectors()) if VECTORS.is_file() else 0,
        documents=len(stored),
        passages=sum(s.passages for s in stored),
        sources={s.source: s.passages for s in stored},
    )


def rebuild(place: KnowledgePlace, *, fresh: bool = False, progress: Callable[[str, int], None] = lambda *_: None) -> Added:
    """Read every source of the index again; `fresh` drops the index first, as another encoder needs."""
    index = place.index()
    sources = index.reset() if fresh else [stored.source for stored in index.documents()]
    total = Added(documents=0, passages=0, unchanged=0, removed=0, skipped=())
    for source in dict.fromkeys(name.partition("!")[0] for name in sources):
        if not Path(source).exists():
            total = total.model_copy(
                update={"skipped": (*total.skipped, f"{source}: is no longer there; its passages stay until it is removed")}
            )
            continue
        done = add(Path(source), place, progress=progress)
        total = Added(
            documents=total.documents + done.documents,
            passages=total.passages + done.passages,
            unchanged=total.unchanged + done.unchanged,
            removed=total.removed + done.removed,
            skipped=(*total.skipped, *done.skipped),
        )
    return total
