"""The user's index in Chroma, the loaders, and other encoders."""

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from spark_copilot.orchestration.ask import KnowledgePlace, ask, search
from spark_copilot.orchestration.knowledge_index import add, rebuild, stats
from spark_copilot.rag.embedder import OnnxEmbedder
from spark_copilot.rag.other_embedders import HttpEmbedder, SentenceTransformerEmbedder, embedder_of
from spark_copilot.rag.vectorstore import ChromaIndex, IndexOfAnotherModel
from spark_copilot.rules_engine.errors import BadInput, NotFound, Unavailable, UsageError
from tests.conftest import SHARED
from tests.timing import below

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of chromadb's own making

RUNBOOK = "# Zebra queue\n\nWhen the zebra queue is stuck, restart the flamingo service. The password=hunter2secret opens it.\n"


@pytest.fixture
def place(tmp_path: Path) -> KnowledgePlace:
    return KnowledgePlace(home=tmp_path / "home")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "zebra.md").write_text(RUNBOOK, encoding="utf-8")
    (folder / "blob.txt").write_bytes(b"\0\1\2")
    return folder


def test_additions_are_incremental_and_secrets_masked(place: KnowledgePlace, docs: Path) -> None:
    first = add(docs, place)
    assert (first.documents, first.unchanged, first.removed) == (1, 0, 0)
    assert len(first.skipped) == 1
    assert "binary data" in first.skipped[0]
    assert add(docs, place).unchanged == 1
    found = search("zebra queue is stuck", place).results[0]
    assert found.source.endswith("zebra.md")
    assert "hunter2secret" not in found.text
    assert "flamingo" in ask("the zebra queue is stuck, what now", place).answer
    (docs / "zebra.md").unlink()
    (docs / "other.md").write_text("# Other\n\nA pelican.\n", encoding="utf-8")
    again = add(docs, place)
    assert (again.documents, again.removed) == (1, 1)
    assert list(stats(place).sources) == [str(docs / "other.md")]


def test_an_addition_by_another_process_is_seen_at_once(place: KnowledgePlace, docs: Path) -> None:
    (docs / "first.md").write_text("# First\n\nA heron.\n", encoding="utf-8")
    add(docs / "first.md", place)
    assert "zebra.md" not in search("zebra queue is stuck", place).results[0].source
    code = (
        "import sys; from pathlib import Path\n"
        "from spark_copilot.orchestration.ask import KnowledgePlace\n"
        "from spark_copilot.orchestration.knowledge_index import add\n"
        "add(Path(sys.argv[1]), KnowledgePlace(home=Path(sys.argv[2])))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(docs / "zebra.md"), str(place.home)], check=True)
    start = time.monotonic()
    assert search("zebra queue is stuck", place).results[0].source.endswith("zebra.md")
    assert below(time.monotonic() - start, 5)


def test_without_an_index_chroma_is_not_imported(place: KnowledgePlace) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from spark_copilot.orchestration.ask import KnowledgePlace, ask\n"
        f"ask('why does my job spill', KnowledgePlace(home=Path({str(place.home)!r})))\n"
        "sys.exit('chromadb' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert [f.name for f in place.home.iterdir()] == ["knowledge"]


def test_another_encoder_is_refused_until_the_index_is_built_fresh(place: KnowledgePlace, docs: Path) -> None:
    class Other(OnnxEmbedder):
        name = "other"

    add(docs, place)
    with pytest.raises(IndexOfAnotherModel, match="was built with all-MiniLM"):
        ChromaIndex(place.index_folder, Other()).documents()
    done = rebuild(place, fresh=True)
    assert done.documents == 1


def test_nothing_there_and_nothing_readable(place: KnowledgePlace, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        add(tmp_path / "absent", place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="nothing in it can be read"):
        add(tmp_path / "empty", place)


def test_real_documentation_pages(place: KnowledgePlace) -> None:
    folder = SHARED / "rag" / "docs" / "delta"
    if not folder.is_dir():
        pytest.skip(f"no shared documentation at {folder} (set SPARK_COPILOT_SHARED)")
    pages = [folder / "delta-deletion-vectors.mdx", folder / "table-properties.mdx"]
    assert sum(add(page, place).passages for page in pages) > 15
    found = search("physically remove rows marked by deletion vectors REORG PURGE", place, k=8).results
    assert any(hit.source.endswith("delta-deletion-vectors.mdx") for hit in found)


@pytest.mark.parametrize("bad", [("", "nothing is asked"), ("  \n ", "nothing is asked")])
def test_an_empty_question_is_refused(place: KnowledgePlace, bad: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match=bad[1]):
        ask(bad[0], place)


def test_a_scope_that_does_not_exist_is_refused(place: KnowledgePlace) -> None:
    with pytest.raises(UsageError, match="no scope 'moon'"):
        search("x", place, scope=["moon"])


def test_vectors_have_length_one() -> None:
    vectors = OnnxEmbedder().embed(["a", "a much longer sentence about shuffle partitions and memory", ""])
    assert vectors.shape == (3, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_batches_do_not_change_vectors() -> None:
    texts = ["spill", "a much longer sentence about shuffle partitions and memory", "skew in a join"]
    one = np.concatenate([OnnxEmbedder().embed([t]) for t in texts])
    assert float((OnnxEmbedder().embed(texts) * one).sum(axis=1).min()) > 0.95  # int8 activations are scaled a batch


def test_a_missing_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="not in this installation"):
        OnnxEmbedder(tmp_path).embed(["x"])


class _Endpoint(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ok = self.headers["Authorization"] == "Bearer key-1"
        data = [{"index": n, "embedding": [float(len(t)), 1.0]} for n, t in enumerate(body["input"])]
        payload = json.dumps({"data": data[::-1]} if ok else {"error": "no"}).encode()
        self.send_response(200 if ok else 401)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return


def test_an_openai_compatible_endpoint() -> None:
    with HTTPServer(("127.0.0.1", 0), _Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1"
        vectors = HttpEmbedder(url, "m", "key-1").embed(["a", "bbb"])
        assert np.allclose(vectors, [[0.7071, 0.7071], [0.9487, 0.3162]], atol=1e-3)
        with pytest.raises(Unavailable, match="does not answer as it should"):
            HttpEmbedder(url, "m", "wrong").embed(["a"])
        server.shutdown()


def test_which_encoder_a_setting_names() -> None:
    assert isinstance(embedder_of(None), OnnxEmbedder)
    assert isinstance(embedder_of("sentence-transformers:m"), SentenceTransformerEmbedder)
    assert embedder_of("http:m", url="http://x").name == "http:m"
    with pytest.raises(UsageError, match="no encoder"):
        embedder_of("http:m")
