"""What `catalog build` reads out of an installed Spark is what the catalog that comes with the package says of that version."""

import shutil
from pathlib import Path

import pytest

from spark_copilot.connectors.spark_registry import jars_of, probe, version_of
from spark_copilot.rules_engine.errors import NotFound
from spark_copilot.rules_engine.gate import build
from spark_copilot.rules_engine.gate.keys import Catalog, catalog
from spark_copilot.rules_engine.gate.target import SparkVersion

_CHANGED_LATER = {"spark.task.cpus", "spark.sql.window.segmentTree.blockSize"}
"""Keys whose type is another one in the version after the installed: the catalog keeps the newest type."""


@pytest.fixture(scope="module")
def built(spark_python: Path) -> tuple[SparkVersion, Catalog]:
    if shutil.which("java") is None:
        pytest.skip("java is not installed")
    package = next((spark_python.parent.parent / "lib").glob("python3*/site-packages/pyspark"))
    jars = jars_of(package)
    version = version_of(jars)
    parsed = SparkVersion.parse(version)
    assert parsed is not None
    dumps = {version: probe(jars)}
    return parsed, Catalog(build.timeline(dumps), build.details(dumps))


@pytest.mark.spark
def test_the_rebuilt_catalog_is_the_one_that_comes_with_the_package(built: tuple[SparkVersion, Catalog]) -> None:
    version, ours = built
    shipped = catalog()
    here = [key for key in shipped.all_keys if (e := shipped.entry(key)) is not None and version in e.defaults]
    assert len(here) > 1500
    # A patch release may add a key or take one out.
    gone = [key for key in here if ours.entry(key) is None]
    new = [key for key in ours.all_keys if (e := shipped.entry(key)) is None or version not in e.defaults]
    assert len(gone) <= 5, gone
    assert len(new) <= 5, new
    kept = [key for key in here if ours.entry(key) is not None]
    for what, exceptions in (("type", _CHANGED_LATER), ("unit", _CHANGED_LATER)):
        differ = {}
        for key in kept:
            mine, theirs = getattr(ours.entry(key), what), getattr(shipped.entry(key), what)
            # "string" in the package means that its dump did not say; a finer answer is no contradiction.
            if mine != theirs and theirs not in ("string", "") and key not in exceptions:
                differ[key] = (mine, theirs)
        assert differ == {}


@pytest.mark.spark
def test_optional_and_checked_entries_have_their_type(built: tuple[SparkVersion, Catalog]) -> None:
    _, ours = built
    wanted = {
        "spark.cores.max": ("int", ""),
        "spark.executor.memoryOverhead": ("size", "MiB"),
        "spark.excludeOnFailure.timeout": ("time", "ms"),
        "spark.deploy.recoveryTimeout": ("time", "s"),
        "spark.eventLog.rolling.maxFileSize": ("size", "B"),
        "spark.deploy.appNumberModulo": ("int", ""),
        "spark.memory.storageFraction": ("double", ""),
        "spark.io.encryption.keySizeBits": ("choice", ""),
        "spark.sql.adaptive.autoBroadcastJoinThreshold": ("size", "B"),
        "spark.excludeOnFailure.enabled": ("bool", ""),
    }
    assert {key: (e.type, e.unit) for key in wanted if (e := ours.entry(key)) is not None} == wanted
    assert ours.choices("spark.io.encryption.keySizeBits", None) == ("128", "192", "256")


def test_a_folder_without_spark_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no Spark there"):
        jars_of(tmp_path)
