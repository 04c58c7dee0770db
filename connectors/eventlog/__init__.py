"""Event logs: locate -> decompress -> events -> build. `read_runs` is the way in."""

from spark_copilot.connectors.eventlog.decompress import ReadLimits
from spark_copilot.connectors.eventlog.newest import newest_in, newest_log
from spark_copilot.connectors.eventlog.read import headlines, raw_lines, read_run, read_runs
from spark_copilot.connectors.eventlog.scala_order import scala_order

__all__ = ["ReadLimits", "headlines", "newest_in", "newest_log", "raw_lines", "read_run", "read_runs", "scala_order"]
