"""Event logs: locate -> decompress -> events -> build. `read_runs` is the way in."""

from spark_copilot.connectors.eventlog.decompress import ReadLimits
from spark_copilot.connectors.eventlog.newest import newest_log
from spark_copilot.connectors.eventlog.read import read_run, read_runs

__all__ = ["ReadLimits", "newest_log", "read_run", "read_runs"]
