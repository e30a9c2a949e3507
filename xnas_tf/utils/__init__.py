"""Helpers for files, figures, environment variables and statistics that every package may use."""
