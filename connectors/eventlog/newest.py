"""The newest log that a Spark on this machine wrote, found as Spark itself finds its event log directory."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spark_copilot.rules_engine.errors import NotFound

_HINT = "Name a log, or set SPARK_CONF_DIR or SPARK_HOME."


def newest_log(environ: Mapping[str, str] | None = None) -> Path:
    """The most recently written log (file or rolled directory) under `spark.eventLog.dir` of SPARK_CONF_DIR or SPARK_HOME.

    Raises:
        NotFound: neither is set, the directory is elsewhere than on this machine, or it holds nothing.
    """
    return newest_in(event_log_dir(os.environ if environ is None else environ))


def newest_in(folder: Path) -> Path:
    """The most recently written log (file or rolled directory) of a directory of logs.

    Raises:
        NotFound: it cannot be read, or holds nothing.
    """
    try:
        logs = [child for child in folder.iterdir() if not child.name.startswith((".", "_"))]
        dated = [
            (max((f.stat().st_mtime for f in child.iterdir()), default=0.0) if child.is_dir() else child.stat().st_mtime, child)
            for child in logs
        ]
    except OSError as error:
        raise NotFound(f"{folder}: {error.strerror}", hint=_HINT) from error
    if not dated:
        raise NotFound(f"{folder}: no event log in it", hint=_HINT)
    return max(dated)[1]


def event_log_dir(environ: Mapping[str, str]) -> Path:
    """The directory, as a local path.

    Raises:
        NotFound: no configuration, or the directory is on another file system.
    """
    conf = environ.get("SPARK_CONF_DIR") or (environ.get("SPARK_HOME") and str(Path(environ["SPARK_HOME"]) / "conf"))
    if not conf:
        raise NotFound("no log was named, and neither SPARK_CONF_DIR nor SPARK_HOME is set", hint=_HINT)
    settings: dict[str, str] = {}
    defaults = Path(conf) / "spark-defaults.conf"
    if defaults.is_file():
        for line in defaults.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.strip().replace("=", " ", 1).partition(" ")
            if key and not key.startswith("#"):
                settings[key] = value.strip()
    where = settings.get("spark.eventLog.dir") or settings.get("spark.history.fs.logDirectory") or "file:///tmp/spark-events"
    url = urlsplit(where)
    if url.scheme not in ("", "file"):
        raise NotFound(f"{where}: spark.eventLog.dir is not on this machine", hint="Name the log itself.")
    return Path(unquote(url.path) if url.scheme else where)
