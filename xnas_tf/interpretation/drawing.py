"""Helpers shared by the figures of interpreted networks."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.errors import InputError, suggest
from xnas_tf.utils.shown_channels import shown_channels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, PALE = "#1f4e9c", "#c8511b", "#b0b0b0", "#e4e4e4"
"""Colours of the plots of Pareto fronts, which colour-blind readers can distinguish."""
LONGEST = 24
"""Maximum number of characters in a tick label."""
MOST_NAMES = 120
"""Maximum number of names along an axis; of more names, some are left out at regular intervals."""
MOST_CELLS = MOST_NAMES // 2
"""Maximum number of a matrix's rows or columns that increase the size of a figure. With 1,000 rows,
drawing a figure took more memory than there was."""
CHARACTERS_PER_INCH = 117
"""Number of characters per inch, multiplied by the font size in points."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sized in inches, that notebooks can display."""
    from xnas_tf.utils.notebook_figure import NotebookFigure  # noqa: PLC0415 - heavy

    return NotebookFigure(figsize=(width, height), layout="constrained")


def drawn(
    available: Mapping[str, Callable[[], Figure]], title: str, which: str | None = None
) -> dict[str, Figure]:
    """Draw all available figures, or one of them, with a title.

    Raises:
        InputError: If the figure does not exist.
    """
    if which is not None and which not in available:
        raise InputError(f"`which`: there is no figure {suggest(which, available)}")
    names = available if which is None else [which]
    figures = {name: available[name]() for name in names}
    for figure in figures.values():
        set_title(figure, title)
    return figures


def set_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, wrapped if it is wider than the figure."""
    figure.suptitle(wrapped(title, figure.get_figwidth(), 9), fontsize=9)


def wrapped(text: str, inches: float, points: float = 8) -> str:
    """Wrap text in a font of size ``points`` to lines at most ``inches`` wide."""
    width = max(1, int(CHARACTERS_PER_INCH / points * inches))
    lines = [textwrap.wrap(line, width) or [""] for line in text.splitlines()]
    return "\n".join(part for parts in lines for part in parts)


def draw_image(axis: Axes, image: np.ndarray) -> None:
    """Draw a uint8 image (H, W, C) in colour or grey; see ``shown_channels``."""
    axis.imshow(shown_channels(image), cmap="gray", vmin=0, vmax=255)
    axis.set(xticks=[], yticks=[])


def name_ticks(axis: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    """Label a matrix's columns and rows."""
    columns, rows = (range(0, len(each), -(-len(each) // MOST_NAMES)) for each in (across, down))
    texts = [short(across[place]) for place in columns]
    axis.set_xticks(columns, texts, rotation=60, ha="right", fontsize=7)
    axis.set_yticks(rows, [short(down[place]) for place in rows], fontsize=7)


def ticks_width(names: Sequence[str]) -> float:
    """Return the width in inches of the names drawn by ``name_ticks``."""
    return 7 / CHARACTERS_PER_INCH * max(len(short(name)) for name in names)


def short(name: str) -> str:
    """Shorten a name to at most 24 characters by leaving out its middle."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 11]}…{name[-10:]}"
