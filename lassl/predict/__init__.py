"""Trained models on anybody's scans."""
