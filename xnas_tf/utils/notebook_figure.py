"""A Matplotlib figure that notebooks display without pyplot."""

from __future__ import annotations

from matplotlib.figure import Figure

from xnas_tf.utils.pictures import png

PIXELS_PER_INCH = 100


class NotebookFigure(Figure):
    """A figure that a notebook draws if it is the result of a cell.

    Unlike those of pyplot, it does not stay in memory until it is closed.
    """

    def _repr_png_(self) -> bytes:
        return png(self, PIXELS_PER_INCH)
