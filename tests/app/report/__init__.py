"""Tests of app report."""
