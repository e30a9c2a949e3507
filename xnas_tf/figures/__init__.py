"""Figures of a run's candidates: functions that collect the data and functions that draw it."""
