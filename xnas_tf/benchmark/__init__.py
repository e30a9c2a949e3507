"""Runs searches with simulated training: the results are read from a table."""
