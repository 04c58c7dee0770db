"""Spark's monitoring API over event logs, of a directory and uploaded: the names, shapes, orders and errors of a History Server, without a JVM."""

from spark_copilot.app.api.monitoring.routes import monitoring_router
from spark_copilot.app.api.monitoring.store import HistoryStore, Store
from spark_copilot.app.api.monitoring.uploads import AllRuns

__all__ = ["AllRuns", "HistoryStore", "Store", "monitoring_router"]
