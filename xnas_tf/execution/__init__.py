"""Execution of a search: the coordinator, the workers, and the code that every rank runs."""
