"""Faults and abuse, each test named by its id in docs/reliability.md or docs/service.md."""
