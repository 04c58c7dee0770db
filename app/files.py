"""The folders of the service under the home folder. Names are generated here; what a client or a log says is never part of a path."""

import os
import re
import secrets
import shutil
import time
from pathlib import Path

UPLOADS, WORK, RUNS = "uploads", "work", "runs"
PART = ".part"
_UNSAFE = re.compile(r"[^\w.+=@-]")


class Files:
    """Paths are given as they are kept in rows: relative to the home folder, which may move."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def new_upload(self) -> Path:
        """Where a body is written to while it comes in."""
        return self._made(UPLOADS) / f"{secrets.token_hex(16)}{PART}"

    def keep(self, part: Path) -> str:
        """An upload that has come in whole and is on disk: its kept name."""
        kept = part.with_suffix("")
        part.rename(kept)
        sync_folder(kept.parent)
        return self.kept(kept)

    def work(self, name: str) -> Path:
        """An empty folder for one attempt at one job."""
        folder = self._made(WORK) / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def results(self, run_id: str, token: int) -> Path:
        """Where the results of one claim go: no two claims share a folder, so a late one spoils nothing."""
        return self._made(RUNS, run_id) / str(token)

    def path(self, kept: str) -> Path:
        """The path of a kept name."""
        return self.home / kept

    def kept(self, path: Path) -> str:
        """The kept name of a path."""
        return path.relative_to(self.home).as_posix()

    def remove(self, kept: str | None) -> None:
        """Remove a file or a folder; what is gone already is no matter."""
        if kept is None:
            return
        path = self.path(kept)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        if path.parent.parent == self.home / RUNS:
            try:
                path.parent.rmdir()
            except OSError:
                return  # other results of the run are there

    def sweep(self, in_use: set[str], *, older_than_seconds: float) -> int:
        """Remove uploads, work and results that no row points to and nobody has touched for a while; how many they were."""
        before = time.time() - older_than_seconds
        removed = 0
        orphans = [
            *self._entries(UPLOADS),
            *self._entries(WORK),
            *(r for run in self._entries(RUNS) if run.is_dir() for r in run.iterdir()),
        ]
        for path in orphans:
            try:
                if self.kept(path) in in_use or path.stat().st_mtime >= before:
                    continue
            except FileNotFoundError:
                continue
            self.remove(self.kept(path))
            removed += 1
        return removed

    def _made(self, *names: str) -> Path:
        folder = self.home.joinpath(*names)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _entries(self, name: str) -> list[Path]:
        folder = self.home / name
        return list(folder.iterdir()) if folder.is_dir() else []


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def safe_name(filename: str | None) -> str:
    """A client's file name as one harmless path component: what messages about the log call it."""
    name = (filename or "").replace("\\", "/").rpartition("/")[2]
    return _UNSAFE.sub("_", name)[:120].lstrip(".") or "upload"
