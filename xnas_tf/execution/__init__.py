"""Execution of a search: the coordinator, the workers, and what both need on each rank."""
