"""Tests of the event-log reader."""
