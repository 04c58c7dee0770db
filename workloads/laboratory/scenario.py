"""What one laboratory run is: a job, its settings, the codes that a right diagnosis names and those it must not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Job = Callable[[Any, Path], None]
"""Takes the SparkSession and the folder of prepared data."""

LOCAL = {"spark.master": "local[2]", "spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "8"}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. `expect`: codes of which at least one is right (empty: a healthy or mended run). `mends`: the faulty run this one is the mended twin of.

    `allow`: codes that are true as well and do not count against precision. `fails`: the job is meant to end in an error.
    """

    name: str
    kind: Literal["fault", "lookalike", "mended", "healthy"]
    job: Job
    expect: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    mends: str | None = None
    prepare: Job | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
    fails: bool = False

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the session, the laboratory's defaults below the scenario's own."""
        return {**LOCAL, **self.conf}
