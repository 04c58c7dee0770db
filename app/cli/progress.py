"""A progress line on stderr, only when someone sits before a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def reading(name: str, verb: str = "reading") -> Iterator[Callable[[int], None] | None]:
    """Bytes read so far, shown while a log is read or fetched; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(f"{verb} {name}", total=None)
        yield lambda done: bar.update(task, completed=done)
