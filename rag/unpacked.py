"""The vectors that ship, unpacked once into the home: as plain arrays that every process maps instead of unpacking its own copy.

A folder is named by the content of what it was made of, so that another version of the package makes another folder and never half reads one. It is
made beside its place under a lock and renamed when it is whole. Where the home cannot be written, the package's own file is read.
"""

import hashlib
import logging
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spark_copilot.rag.lock import locked

FOLDER = "knowledge"
STAMP_CHARS = 16
log = logging.getLogger(__name__)


@cache
def stamp(packed: Path) -> str:
    """What names the folder of this content."""
    return hashlib.sha256(packed.read_bytes()).hexdigest()[:STAMP_CHARS]


def unpacked(packed: Path, home: Path) -> tuple[Path | None, bool]:
    """(the folder with the arrays of `packed`, whether this call made it); no folder when there is nothing to unpack or the home takes nothing."""
    if not packed.is_file():
        return None, False
    target = home / FOLDER / stamp(packed)
    if target.is_dir():
        return target, False
    try:
        with locked(target.parent):
            if target.is_dir():
                return target, False
            fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
            try:
                names, vectors = unit_vectors(packed)
                np.save(fresh / "names.npy", names)
                np.save(fresh / "vectors.npy", vectors)
                fresh.rename(target)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            _tidy(target)
            return target, True
    except OSError as error:
        log.warning("the knowledge stays in the package: %s cannot be written (%s)", target.parent, error.strerror or type(error).__name__)
        return None, False


def unit_vectors(packed: Path) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    """Names and unit vectors out of the quantised file, shapes (n,) and (n, dimensions)."""
    with np.load(packed) as stored:
        names, small, scale = stored["digests"], stored["vectors"], stored["scale"]
    vectors = small.astype(np.float32) * scale.astype(np.float32)[:, None]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return names, vectors


def mapped(folder: Path) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float32]]:
    """Names and vectors of an unpacked folder; the vectors are mapped, not read."""
    return np.load(folder / "names.npy"), np.load(folder / "vectors.npy", mmap_mode="r")


def _tidy(current: Path) -> None:
    """Folders of other versions go, all but the newest one: a process of the version before may still start."""
    others = [f for f in current.parent.iterdir() if f != current and f.is_dir() and len(f.name) == STAMP_CHARS]
    for folder in sorted(others, key=lambda f: f.stat().st_mtime)[:-1]:
        shutil.rmtree(folder, ignore_errors=True)
