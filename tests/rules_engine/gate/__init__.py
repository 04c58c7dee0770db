"""Tests of rules_engine gate."""
