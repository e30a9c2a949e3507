"""What pictures of interpreted networks have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BLUE, ORANGE, GREY, PALE = "#1f4e9c", "#c8511b", "#b0b0b0", "#e4e4e4"
"""As in the pictures of fronts; told apart by colour-blind readers too."""


def new_figure(width: float, height: float):
    """An empty matplotlib figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_image(axis, image: np.ndarray) -> None:
    """An image (H, W, C), uint8: in colours, or its first channel in grey."""
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    axis.imshow(shown, cmap="gray", vmin=0, vmax=255)
    axis.set(xticks=[], yticks=[])


def name_ticks(axis, across: Sequence[str], down: Sequence[str]) -> None:
    """Names the columns and the rows of a matrix."""
    axis.set_xticks(range(len(across)), across, rotation=60, ha="right", fontsize=7)
    axis.set_yticks(range(len(down)), down, fontsize=7)
