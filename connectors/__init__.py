"""Bring things in or send them out: event logs, settings files, tables, lakes, clusters. They decide nothing and import no rule."""
