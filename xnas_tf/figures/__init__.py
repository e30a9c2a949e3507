"""Figures of the candidates of a run: first the data to show, then the drawing."""
