"""Ours beside a real History Server, live."""
