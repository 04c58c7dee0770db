"""Spark applications in PySpark: the fault laboratory and the systems that the copilot schedules.

Nothing imports them; jobs name them by path.
"""
