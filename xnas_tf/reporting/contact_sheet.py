"""Draws a contact sheet of a data set: some images of each class, and the class counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.data import Dataset, Split
from xnas_tf.utils.image_size import size_text
from xnas_tf.utils.shown_channels import shown_channels, shown_channels_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_CLASSES = 40
"""Maximum number of classes in a picture or table."""
SHOWN_IMAGES = 10
"""Maximum number of images per class."""


def sheet_figure(data: Dataset) -> Figure:
    """Draw a row of training images for each class, at the size that a network would see.

    Unless there are one or three, only some channels are shown, and the title says which. Bars next
    to the images show how many images of the class each split contains.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    shown = min(data.classes, SHOWN_CLASSES)
    height, width, _ = data.image_shape
    row = float(np.clip(5.5 / SHOWN_IMAGES * height / width, 0.25, 1.1))
    figure = Figure(figsize=(9, row * shown + 1.1), layout="constrained")
    images, bars = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    figure.suptitle(_title(data, shown), fontsize=10)
    strips = np.concatenate([_strip(data.train, label) for label in range(shown)])
    extent = (0, SHOWN_IMAGES, shown - 0.5, -0.5)
    images.imshow(strips, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=extent)
    names = [_shortened(name, 18) for name in data.class_names[:shown]]
    images.set(xticks=[], yticks=range(shown), yticklabels=names)
    images.tick_params(length=0, labelsize=9)
    _draw_counts(bars, {name: counts[:shown] for name, counts in data.counts.items()})
    return figure


def _title(data: Dataset, shown: int) -> str:
    height, width, depth = data.image_shape
    shown_text = shown_channels_text(depth)
    kind = "grey" if depth == 1 else f"{depth} channels" if shown_text else "colour"
    total = sum(map(len, data.parts.values()))
    count = f"{data.classes}" if shown == data.classes else f"{shown} of {data.classes}"
    about = f"{total:,} images, {count} classes, {size_text(height, width)}, {kind}"
    text = f"{_shortened(data.name, 60)}: {about}"
    return f"{text}\nshown: {shown_text}" if shown_text else text


def _shortened(name: str, length: int) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _strip(split: Split, label: int) -> np.ndarray:
    """Return images of a class side by side, framed in white: (H + 2, (W + 2) * n[, 3])."""
    images = split.images[np.flatnonzero(split.labels == label)[:SHOWN_IMAGES]]
    padding = [(0, SHOWN_IMAGES - len(images)), (1, 1), (1, 1), (0, 0)]
    return shown_channels(np.concatenate(np.pad(images, padding, constant_values=255), axis=1))


def _draw_counts(axes: Axes, counts: Mapping[str, np.ndarray]) -> None:
    colours = {"train": "#1f4e9c", "validation": "#e69f00", "test": "#7a7a7a"}
    left = np.zeros(len(counts["train"]))
    for name, values in counts.items():
        axes.barh(np.arange(len(values)), values, 0.6, left, color=colours[name], label=name)
        left += values
    axes.set_xlabel("images")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    style: dict[str, Any] = {"frameon": False, "columnspacing": 0.8, "handlelength": 1}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize=8, **style)
