"""Tests of the settings-file readers."""
