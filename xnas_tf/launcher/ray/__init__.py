"""Runs searches on a Ray cluster, where groups of ranks are placed, watched and replaced."""
