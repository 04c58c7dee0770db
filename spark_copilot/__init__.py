"""Spark Intelligence Copilot as a library: `analyze`, `read`, `what_if`, `compare`, `gate`.

Importing this package costs nothing: each name is loaded when it is first used.
"""

from importlib import import_module
from typing import Any

_HOMES: dict[str, str] = {
    "analyze": "spark_copilot.orchestration.analyse",
    "read": "spark_copilot.orchestration.analyse",
    "what_if": "spark_copilot.orchestration.whatif",
    "compare": "spark_copilot.orchestration.compare",
    "gate": "spark_copilot.orchestration.gate",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("spark-intelligence-copilot")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
