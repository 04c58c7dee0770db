"""What an installed Spark says of its own settings: a small Java program reads its registry by reflection. Needs java, starts no application."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from spark_copilot.rules_engine.errors import BadInput, NotFound, Unavailable

_PROBE = Path(__file__).parent / "CatalogProbe.java"
_TIMEOUT_S = 300


def jars_of(installation: Path) -> Path:
    """The folder of jars below a Spark installation, a pyspark package, or itself.

    Raises:
        NotFound: there is no spark-core jar.
    """
    for folder in (installation, installation / "jars", installation / "pyspark" / "jars"):
        if any(folder.glob("spark-core_*.jar")):
            return folder
    raise NotFound(f"{installation}: no Spark there (no spark-core jar in it or in jars/)", hint="give SPARK_HOME or the folder of jars")


def version_of(jars: Path) -> str:
    """The version in the name of the spark-core jar."""
    name = min(jars.glob("spark-core_*.jar")).stem
    return name.split("-")[2] if name.count("-") >= 2 else name


def probe(jars: Path) -> dict[str, Any]:
    """Entries with their converters' answers, old names, deprecated and removed keys, keys in class files.

    Raises:
        Unavailable: java is not installed.
        BadInput: the program failed on these jars.
    """
    java = shutil.which("java")
    if java is None:
        raise Unavailable("java is not installed", hint="a JDK 17 or newer reads the registry")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "catalog.json")
        command = [java, "-cp", f"{jars}/*", str(_PROBE), str(jars), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise BadInput(f"{jars}: reading the registry took more than {_TIMEOUT_S} s") from None
        if done.returncode or not out.exists():
            last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no message")
            raise BadInput(f"{jars}: the registry cannot be read: {last}")
        loaded: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return loaded
