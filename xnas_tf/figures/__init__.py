"""Figures of the candidates of a run: functions that collect the data, and that draw them."""
