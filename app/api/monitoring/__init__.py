"""Spark's monitoring API over a directory of event logs: the names, shapes, orders and errors of a History Server, without a JVM."""

from spark_copilot.app.api.monitoring.routes import monitoring_router
from spark_copilot.app.api.monitoring.store import HistoryStore

__all__ = ["HistoryStore", "monitoring_router"]
