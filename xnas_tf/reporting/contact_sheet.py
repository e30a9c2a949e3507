"""Some images of each class of a data set, as a network would see them, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnas_tf.data import Dataset, Split

SHOWN_CLASSES = 40
"""Classes in the picture."""
SHOWN_IMAGES = 10
"""Images of a class in the picture."""


def sheet_figure(data: Dataset):
    """Draws training images of each class in a row, as a network would see them, beside bars
    of how many there are in each part.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    shown = min(data.classes, SHOWN_CLASSES)
    height, width, _ = data.image_shape
    row = float(np.clip(5.5 / SHOWN_IMAGES * height / width, 0.25, 1.1))
    figure = Figure(figsize=(9, row * shown + 1.1), layout="constrained")
    pictures, bars = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    figure.suptitle(_title(data, shown), fontsize=10)
    strip = np.concatenate([_strip(data.train, number) for number in range(shown)])
    extent = (0, SHOWN_IMAGES, shown - 0.5, -0.5)
    pictures.imshow(strip, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=extent)
    names = [_short(name) for name in data.class_names[:shown]]
    pictures.set(xticks=[], yticks=range(shown), yticklabels=names)
    pictures.tick_params(length=0, labelsize=9)
    _draw_counts(bars, {name: counts[:shown] for name, counts in data.counts.items()})
    return figure


def _title(data: Dataset, shown: int) -> str:
    height, width, depth = data.image_shape
    kind = "grey" if depth == 1 else "colour" if depth == 3 else f"{depth} channels"
    total = sum(map(len, data.parts.values()))
    classes = (
        f"{data.classes} classes"
        if shown == data.classes
        else (f"{shown} of {data.classes} classes")
    )
    title = f"{_short(data.name, 60)}: {total:,} images, {classes}, {width}x{height}, {kind}"
    return title.replace("$", r"\$")


def _short(text: str, most: int = 18) -> str:
    """The text without what matplotlib would take for mathematics, shortened."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def _strip(part: Split, number: int) -> np.ndarray:
    """Images of a class side by side with white between, (H + 2, W * n, C)."""
    rows = np.flatnonzero(part.labels == number)[:SHOWN_IMAGES]
    images = part.images[rows]
    if images.shape[-1] == 2 or images.shape[-1] > 3:
        images = images[..., :1]
    missing = SHOWN_IMAGES - len(images)
    padding = [(0, missing), (1, 1), (1, 1), (0, 0)]
    framed = np.pad(images, padding, constant_values=255)
    framed[len(images) :] = 255
    strip = np.concatenate(list(framed), axis=1)
    return strip[..., 0] if strip.shape[-1] == 1 else strip


def _draw_counts(axis, counts: dict[str, Sequence[int]]) -> None:
    colours = {"train": "#1f4e9c", "validation": "#e69f00", "test": "#7a7a7a"}
    begin = np.zeros(len(counts["train"]))
    for name, values in counts.items():
        places = np.arange(len(values))
        axis.barh(places, values, 0.6, begin, color=colours[name], label=name)
        begin += values
    axis.set_xlabel("images")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(
        fontsize=8,
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=3,
        frameon=False,
        columnspacing=0.8,
        handlelength=1,
    )
