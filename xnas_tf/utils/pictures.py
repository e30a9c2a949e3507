"""Draws Matplotlib figures as PNG files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from xnas_tf.errors import InputError, cannot_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(figure: Figure, dpi: int = 90) -> bytes:
    """Draw a Matplotlib figure as PNG, with literal text, where ``$`` does not start a formula."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.text import Text  # noqa: PLC0415 - heavy

    # ``savefig`` would draw the figure twice to compute its layout.
    figure.set_dpi(dpi)
    buffer = io.BytesIO()
    with mpl.rc_context({"text.parse_math": False}):  # for ticks created while drawing
        for text in figure.findobj(Text):
            text.set_parse_math(False)
        FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def check_picture(path: Path, option: str) -> None:
    """Check, before any work, that a PNG file can be written at the path given by an option.

    Raises:
        InputError: If the folder does not exist, or there is something other than a PNG file.
    """
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: there is no folder {path.parent}")
    try:
        if path.exists() and path.stat().st_size and not path.read_bytes().startswith(_SIGNATURE):
            raise InputError(f"{option} {path} exists, is not a PNG file and was not touched")
    except OSError as error:
        raise cannot_write(f"{option} {path}", error) from error


def save_png(figure: Figure, path: Path, option: str, dpi: int) -> None:
    """Save a Matplotlib figure as the PNG file given by a command-line option."""
    check_picture(path, option)
    picture = png(figure, dpi)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise cannot_write(f"{option} {path}", error) from error
