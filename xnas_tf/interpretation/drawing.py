"""Helpers shared by the figures of interpreted networks."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from xnas_tf.errors import InputError, suggest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, PALE = "#1f4e9c", "#c8511b", "#b0b0b0", "#e4e4e4"
"""As in the plots of Pareto fronts; colour-blind readers can distinguish them."""


CHARACTERS_PER_INCH = 13
"""How many characters of a title fit, in 9 points."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, which notebooks can show."""
    from xnas_tf.utils.notebook_figure import NotebookFigure  # noqa: PLC0415 - heavy

    return NotebookFigure(figsize=(width, height), layout="constrained")


def drawn(
    available: Mapping[str, Callable[[], Figure]], title: str, which: str | None = None
) -> dict[str, Figure]:
    """Draw all figures that are available, or one, with a title.

    Raises:
        InputError: If there is no such figure.
    """
    if which is not None and which not in available:
        raise InputError(f"`which`: there is no figure {suggest(which, available)}")
    names = available if which is None else [which]
    figures = {name: available[name]() for name in names}
    for figure in figures.values():
        set_title(figure, title)
    return figures


def set_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in several lines if it is wider than the figure."""
    width = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    figure.suptitle("\n".join(textwrap.wrap(title, width)), fontsize=9)


def draw_image(axis: Axes, image: np.ndarray) -> None:
    """Draw an image (H, W, C), uint8, in colour, or its first channel in grey."""
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    axis.imshow(shown, cmap="gray", vmin=0, vmax=255)
    axis.set(xticks=[], yticks=[])


def name_ticks(axis: Axes, across: Sequence[str], down: Sequence[str]) -> None:
    """Label the columns and the rows of a matrix."""
    axis.set_xticks(range(len(across)), across, rotation=60, ha="right", fontsize=7)
    axis.set_yticks(range(len(down)), down, fontsize=7)
