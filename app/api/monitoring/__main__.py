"""`python -m spark_copilot.app.api.monitoring --log-dir DIR [--port 18080]`: the monitoring API alone."""

import argparse
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from spark_copilot.app.api.monitoring import HistoryStore, monitoring_router


def main() -> None:
    """Serve one directory of event logs."""
    parser = argparse.ArgumentParser(prog="spark_copilot.app.api.monitoring", description=__doc__)
    parser.add_argument("--log-dir", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=18080)
    asked = parser.parse_args()
    app = FastAPI(title="Spark monitoring API")
    app.include_router(monitoring_router(HistoryStore(asked.log_dir)), prefix="/api/v1")
    uvicorn.run(app, host=asked.host, port=asked.port, log_level="warning")


if __name__ == "__main__":
    main()
