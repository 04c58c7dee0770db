"""Data out: to stdout, or whole into a file by rename, never half."""

import sys
import tempfile
from pathlib import Path

from spark_copilot.rules_engine.errors import UsageError


def write_whole(text: str, output: Path | None) -> None:
    """Print, or replace the file in one step.

    Raises:
        UsageError: the folder is not there or not writable.
    """
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=output.parent, prefix=f".{output.name}.", delete=False) as part:
            part.write(text)
        Path(part.name).chmod(0o644)
        Path(part.name).replace(output)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
