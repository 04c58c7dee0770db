"""How much of everything, in a full run and in a try."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    upload_bytes: int = 2 << 30
    upload_rounds: int = 3
    large_log_mb: int = 400
    read_clients: int = 50
    read_seconds: float = 20.0
    logs: int = 200
    senders: int = 20
    kill_every_s: float = 10.0
    rolling_clients: int = 8


SMALL = Size(
    upload_bytes=256 << 20, upload_rounds=5, large_log_mb=60, read_seconds=5.0, logs=20, senders=5, kill_every_s=8.0, rolling_clients=4
)
