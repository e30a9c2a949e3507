"""Figures of a run's candidates, with functions that collect data and functions that draw it."""
