"""Event logs: locate -> decompress -> events -> build. `read_runs` is the way in."""
