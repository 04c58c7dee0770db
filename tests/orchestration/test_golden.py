"""Golden reports of the bundled samples. `make golden` rewrites them; read the diff."""

import json
import os
from importlib.resources import files

import pytest

from spark_copilot.orchestration.analyse import analyze
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["skewed-join", "slow-driver", "healthy"])
def test_golden_report(name: str) -> None:
    golden = ROOT / "tests" / "golden" / f"{name}.json"
    report = json.loads(analyze(str(files("spark_copilot.app") / "samples" / f"{name}.zstd")).model_dump_json(by_alias=True))
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text
