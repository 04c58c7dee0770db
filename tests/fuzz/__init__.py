"""Hostile event logs: seeded mutations of real ones, and what must hold for each."""
