"""How each code fared when it was measured: the laboratory's last benchmark, shipped as data so that it can stand beside every finding."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple


class Record(NamedTuple):
    """Findings of one code on runs whose faults are known, and its savings on pairs of a faulty and a mended run.

    `said` findings, `right` of them true; `missed` runs that had the fault and were not told. `error_ratio`: median distance of the promised from the
    measured saving, as a share of the wall clock; None without pairs.
    """

    right: int
    said: int
    missed: int
    pairs: int
    error_ratio: float | None

    def sentence(self) -> str:
        """The record in words."""
        text = f"right {self.right} of {self.said} on runs with known faults"
        if self.missed:
            text += f", missed {self.missed}"
        if self.pairs and self.error_ratio is not None:
            text += f"; saving off by {100 * self.error_ratio:.0f} % of the wall clock in {self.pairs} pair{'s' if self.pairs > 1 else ''}"
        return text


@cache
def records() -> Mapping[str, Record]:
    """Code -> record; a code that was never measured is absent."""
    text = (files("spark_copilot.rules_engine") / "data" / "record.json").read_text(encoding="utf-8")
    return {code: Record(**entry) for code, entry in json.loads(text).items()}
