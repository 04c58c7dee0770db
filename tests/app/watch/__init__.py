"""Logs, metrics, traces and health of the service."""
