"""Scores of runs to tables, statistics and pages."""
