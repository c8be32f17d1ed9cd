"""Composes params.yaml from conf/, checks and reads it, and finds the file of conf/ that a value comes from."""
