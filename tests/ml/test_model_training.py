"""The model file: what it says, that it comes back the same, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spark_copilot.ml.feature_builder import HistoryRow
from spark_copilot.ml.model_training import TooFewRuns, UnusableModel, load_rows, model_text, train
from spark_copilot.rules_engine.errors import NotFound
from tests.ml.history import row, rows


def kept(folder: Path, made: list[HistoryRow] | None = None) -> Path:
    path = folder / "model.json"
    path.write_text(model_text(train(made or rows(8))))
    return path


@pytest.mark.parametrize("made", [rows(8), rows(4, varied=False)], ids=["varied", "level"])
def test_the_file_gives_the_same_model_back(made: list[HistoryRow], tmp_path: Path) -> None:
    again = train(load_rows(kept(tmp_path, made)))
    model = train(made)
    assert again.rows == model.rows
    assert again.predict_ms(row(1, 12.0).features) == model.predict_ms(row(1, 12.0).features)


def test_the_file_says_what_it_rests_on(tmp_path: Path) -> None:
    document = json.loads(kept(tmp_path).read_text())
    assert (document["kind"], document["version"]) == ("spark-copilot runtime model", 1)
    model = document["model"]
    assert model["job"] == "daily"
    assert model["columns"] == ["input_bytes"]
    assert model["summary"]["runs"] == 8
    assert model["summary"]["first_started_ms"] < model["summary"]["last_started_ms"]
    assert set(model["summary"]["ranges"]) == {"input_bytes"}
    assert 0 < model["scores"]["process"] < 0.2


def test_incomplete_runs_are_left_out_and_two_are_too_few() -> None:
    assert len(train([*rows(4), replace(row(50), complete=False)]).rows) == 4
    with pytest.raises(TooFewRuns, match="2 complete runs"):
        train([*rows(2), replace(row(50), complete=False)])


def test_what_a_run_wrote_explains_nothing() -> None:
    noisy = [replace(r, features={**r.features, "shuffle_bytes": 1e9 * (i + 1), "tasks": 10.0 + i}) for i, r in enumerate(rows(9))]
    assert train(noisy).columns == ("input_bytes",)


def test_rows_stand_in_where_bytes_are_not_known() -> None:
    counted = [replace(r, features={**r.features, "input_rows": r.features["input_bytes"] / 100, "input_bytes": 0.0}) for r in rows(9)]
    model = train(counted)
    assert model.columns == ("input_rows",)
    assert model.explained_by == "input"


def edited(path: Path, change: Any) -> Path:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, separators=(",", ":")))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda d: d.update(version=2), "of version 2; this program reads 1", id="newer version"),
        pytest.param(lambda d: d.update(kind="a recipe"), "not a model file, but 'a recipe'", id="another kind"),
        pytest.param(lambda d: d.update(sha256="0" * 64), "its hash is not that of its content", id="wrong hash"),
        pytest.param(lambda d: d["model"]["rows"][0].update(wall_ms=1), "its hash is not that of its content", id="changed row"),
        pytest.param(lambda d: d.pop("sha256"), "its hash is not that of its content", id="no hash"),
        pytest.param(lambda d: d.pop("version"), "not a model file", id="no version"),
    ],
)
def test_a_changed_file_is_refused(change: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match=words):
        load_rows(edited(kept(tmp_path), change))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04\x95pickle", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "pickle", "list", "object", "bytes", "deep"],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(UnusableModel, match=r"m\.json"):
        load_rows(tmp_path / "m.json")


@pytest.mark.parametrize(("feature", "words"), [({"input_bytes": -1.0}, "not a finite number"), (None, "column input_bytes is missing")])
def test_rows_that_are_none_are_refused_although_the_hash_holds(feature: dict[str, float] | None, words: str, tmp_path: Path) -> None:
    model = train(rows(5))
    first = model.rows[0]
    spoilt = {**first.features, **feature} if feature else {"slots": 1.0}
    path = tmp_path / "m.json"
    object.__setattr__(model, "rows", (replace(first, features=spoilt), *model.rows[1:]))
    text = model_text(replace(model, columns=())) if feature is None else model_text(model)
    if feature is None:  # the text above has no columns: put them back, with the hash of that
        import hashlib

        head, _, body = text.strip()[:-1].partition('"model":')
        body = body.replace('"columns":[]', '"columns":["input_bytes"]')
        text = head.replace(json.loads(text)["sha256"], hashlib.sha256(body.encode()).hexdigest()) + '"model":' + body + "}"
    path.write_text(text)
    with pytest.raises(UnusableModel, match=words):
        load_rows(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.json"):
        load_rows(tmp_path / "nowhere.json")
