"""Attributions of a model drawn beside their inputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnas_tf.explaining import Explanation


def attribution_figure(explained: Explanation, class_names: Sequence[str], title: str):
    """Draws images in the first row and a method's maps in each row below.

    Maps without a sign lie over their image from dark blue to yellow (cividis, made for
    colour-blind readers). Signed ones go from orange (against the class) over white to purple
    (for it), each image scaled to its own largest value.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    count, rows = len(explained.images), 1 + len(explained.maps)
    figure = Figure(figsize=(1.15 * count + 1.2, 1.25 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, count, squeeze=False)
    figure.suptitle(title, fontsize=10)
    for column in range(count):
        image = _drawable(explained.images[column])
        heading, colour = _heading(explained, column, class_names)
        axes[0, column].imshow(image, cmap="gray", vmin=0, vmax=255)
        axes[0, column].set_title(heading, fontsize=8, color=colour)
        for row, (method, maps) in enumerate(explained.maps.items(), start=1):
            _draw_map(axes[row, column], image, maps[column], method.signed)
    for axis, label in zip(axes[:, 0], ["image", *(m.title for m in explained.maps)], strict=True):
        axis.set_ylabel(label, fontsize=8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    return figure


def _heading(explained: Explanation, number: int, names: Sequence[str]) -> tuple[str, str]:
    """What an image is taken for, and the colour to say it in."""
    predicted = names[int(explained.predicted[number])]
    if explained.labels is None:
        return predicted, "black"
    true = names[int(explained.labels[number])]
    return (true, "black") if true == predicted else (f"{true}, taken for {predicted}", "#a00")


def _drawable(image: np.ndarray) -> np.ndarray:
    """An image that can be drawn: colours, or the first of other numbers of channels."""
    return image[..., :3] if image.shape[-1] >= 3 else image[..., 0]


def _draw_map(axis, image: np.ndarray, values: np.ndarray, signed: bool) -> None:
    top = float(np.abs(values).max()) or 1.0
    if not signed:
        axis.imshow(image, cmap="gray", vmin=0, vmax=255)
        axis.imshow(values, cmap="cividis", vmin=0, vmax=top, alpha=0.65)
    else:
        axis.imshow(values, cmap="PuOr", vmin=-top, vmax=top)
