"""Helpers for files, figures, environment variables and statistics that any package may use."""
