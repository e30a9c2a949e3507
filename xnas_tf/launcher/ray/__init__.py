"""Searches on a Ray cluster: groups of ranks, placed, watched and replaced."""
