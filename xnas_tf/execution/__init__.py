"""Execution of a search: the coordinator, the workers, and shared code for each rank."""
