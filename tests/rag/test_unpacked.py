"""The bundled vectors' copy in the home: made once however many start, whole or not at all, another one for another content."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spark_copilot.rag.knowledge import VECTORS, bundled, stored_vectors
from spark_copilot.rag.unpacked import FOLDER, mapped, stamp, unit_vectors, unpacked

RACE = """
import sys, time
from pathlib import Path
from spark_copilot.rag.knowledge import VECTORS
from spark_copilot.rag.unpacked import unpacked
print("ready", flush=True)
sys.stdin.readline()
folder, made = unpacked(VECTORS, Path(sys.argv[1]))
print(folder, made)
"""


def test_processes_that_start_at_once_copy_once(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate(timeout=60)[0].split() for racer in racers]
    folder = tmp_path / FOLDER / stamp(VECTORS)
    assert {line[0] for line in said} == {str(folder)}
    assert sorted(line[1] for line in said) == ["False", "False", "False", "True"]
    assert sorted(f.name for f in folder.parent.iterdir()) == sorted([".lock", folder.name])


def test_the_copy_is_what_ships(tmp_path: Path) -> None:
    folder, made = unpacked(VECTORS, tmp_path)
    assert made
    assert folder is not None
    names, vectors = unit_vectors(VECTORS)
    copied, copied_vectors = mapped(folder)
    assert np.array_equal(names, copied)
    assert np.array_equal(vectors, copied_vectors)
    assert unpacked(VECTORS, tmp_path) == (folder, False)


def test_another_content_has_another_folder_and_old_ones_go(tmp_path: Path) -> None:
    made = []
    for seed in range(4):
        packed = tmp_path / f"v{seed}.npz"
        small = np.full((1, 4), seed + 1, dtype=np.int8)
        np.savez_compressed(packed, digests=np.array([str(seed)]), vectors=small, scale=np.ones(1, dtype=np.float16))
        made.append(unpacked(packed, tmp_path / "home")[0])
    left = {f.name for f in (tmp_path / "home" / FOLDER).iterdir() if f.is_dir()}
    assert len(set(made)) == 4
    assert made[-1] is not None
    assert made[-1].name in left
    assert len(left) == 2


def test_a_home_that_takes_nothing_and_a_damaged_copy_fall_back_to_the_package(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert unpacked(VECTORS, blocked) == (None, False)
    assert "stays in the package" in caplog.text
    folder, _ = unpacked(VECTORS, tmp_path / "home")
    assert folder is not None
    (folder / "vectors.npy").write_bytes(b"cut")
    assert len(stored_vectors(tmp_path / "home")) == len(stored_vectors())
    assert bundled(home=tmp_path / "home").vectors_of(["nothing has this text"]).shape == (1, 384)
