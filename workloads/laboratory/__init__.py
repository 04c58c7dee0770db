"""The fault laboratory: small real Spark jobs, each with one known fault, a look-alike without it, and the mended job.

`python -m spark_copilot.workloads.laboratory --out DIR [NAME …]` runs them, one process a run, and leaves one event log a run beside `runs.json`.
The generator is the source of truth; logs that are kept elsewhere name the command that made them.
"""
