"""Tests of app cli."""
