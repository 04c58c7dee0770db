"""What the knowledge commands share: the place that this process's settings name."""

from spark_copilot.app.config import load
from spark_copilot.app.wiring import place_of
from spark_copilot.orchestration.ask import KnowledgePlace


def place() -> KnowledgePlace:
    """Where this process's settings put the knowledge."""
    return place_of(load())
