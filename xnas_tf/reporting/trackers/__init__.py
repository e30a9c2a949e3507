"""Callbacks that log a search to experiment trackers."""
