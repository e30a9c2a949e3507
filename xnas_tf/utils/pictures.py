"""Matplotlib figures as PNG."""

from __future__ import annotations

import io


def png(figure, dpi: int = 90) -> bytes:
    """A matplotlib figure as PNG; ``savefig`` would draw it twice to lay it out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
