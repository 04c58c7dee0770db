"""The service: logs in, runs and reports out."""
