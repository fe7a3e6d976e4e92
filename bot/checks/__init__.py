"""Deterministic analysers, one a file."""
