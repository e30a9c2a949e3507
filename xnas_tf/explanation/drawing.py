"""Figures of attribution maps beside their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from xnas_tf.explanation.explanation_data import ExplanationData

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE = 224
"""Smallest length of an overlay's longer side, in pixels."""
GAP = 1.08
"""Distance from one image to the next, in widths of an image."""
COVER = 0.65
"""Opacity of an unsigned map over its image."""


def attribution_figure(
    explained: ExplanationData, title: str = "", images: Sequence[int] = ()
) -> Figure:
    """Draw images in the first row, and the maps of a method in each row below.

    Unsigned maps are drawn over their image, from dark blue to yellow (cividis, which suits
    colour-blind readers). Signed maps range from orange (against the class) over white to purple
    (for the class). Each map is scaled to its own largest value.

    Args:
        explained: The explanation.
        title: The title of the figure.
        images: Indices of the images to draw; all if empty.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy

    drawn = list(images) or range(len(explained.images))
    count, rows = len(drawn), 1 + len(explained.maps)
    figure = Figure(figsize=(1.15 * count + 1.2, 1.25 * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=10)
    # One axes per row: one per image takes three times as long to draw.
    first, *others = figure.subplots(rows, squeeze=False)[:, 0]
    pictures = [drawable(explained.images[number]) for number in drawn]
    height, width = pictures[0].shape[:2]
    lefts = GAP * width * np.arange(count)
    extents = [(left, left + width, height, 0) for left in lefts]
    for picture, extent in zip(pictures, extents, strict=True):
        first.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent)
    for axis, (method, maps) in zip(others, explained.maps.items(), strict=True):
        for number, picture, extent in zip(drawn, pictures, extents, strict=True):
            _draw_map(axis, picture, maps[number], method.signed, extent)
    labels = ["image", *(method.title for method in explained.maps)]
    for axis, label in zip([first, *others], labels, strict=True):
        axis.set(xlim=(0, lefts[-1] + width), ylim=(height, 0), xticks=[], yticks=[])
        axis.set_ylabel(label, fontsize=8)
        axis.spines[:].set_visible(False)
    for number, left in zip(drawn, lefts, strict=True):
        heading, colour = _heading(explained, number)
        first.annotate(
            heading,
            xy=(left + width / 2, 0),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )
    return figure


def overlay(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """Draw a map over its image in grey, enlarged to at least 224 pixels.

    Args:
        image: (H, W, C).
        values: The map, (H, W).
        signed: Whether the map is signed; see ``attribution_figure`` for the colours. The opacity
            of a signed map increases with its absolute values.
    """
    cover = 0.25 + 0.75 * np.abs(_share(values))[..., None] if signed else COVER
    picture = _over(image, _coloured(values, signed), cover)
    factor = -(-SIDE // max(values.shape))
    return picture.resize([factor * n for n in picture.size], PIL.Image.Resampling.NEAREST)


def map_picture(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """Draw a map as in ``attribution_figure``, one pixel per value; see ``overlay``."""
    return _over(image, _coloured(values, signed), 1.0 if signed else COVER)


def _over(image: np.ndarray, colours: np.ndarray, cover: np.ndarray | float) -> PIL.Image.Image:
    """Draw colours (H, W, 3) of an opacity ``cover`` over an image in grey."""
    grey = drawable(image).astype(float)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    mixed = cover * colours + (1 - cover) * grey[..., None]
    return PIL.Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _coloured(values: np.ndarray, signed: bool) -> np.ndarray:
    """Return the colours of a map, (H, W, 3) from 0 to 255, scaled to its largest value."""
    from matplotlib import colormaps  # noqa: PLC0415 - heavy

    share = _share(values)
    colours = colormaps["PuOr" if signed else "cividis"]((share + 1) / 2 if signed else share)
    return colours[..., :3] * 255


def _share(values: np.ndarray) -> np.ndarray:
    return values / (float(np.abs(values).max()) or 1.0)


def _heading(explained: ExplanationData, number: int) -> tuple[str, str]:
    """Return the predicted class of an image, with the true one if it differs, and a colour."""
    names = explained.class_names
    predicted = names[int(explained.predicted[number])]
    if explained.labels is None:
        return predicted, "black"
    true = names[int(explained.labels[number])]
    return (true, "black") if true == predicted else (f"{true}, predicted {predicted}", "#a00")


def drawable(image: np.ndarray) -> np.ndarray:
    """Return an image with values from 0 to 255, in colour (H, W, 3) or in grey (H, W).

    Of images with two channels the first one is used.
    """
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (image - low) * (255 / ((high - low) or 1.0))
    if image.ndim == 2:
        return image
    return image[..., :3].astype(np.uint8) if image.shape[-1] >= 3 else image[..., 0]


def _draw_map(
    axis: Axes,
    image: np.ndarray,
    values: np.ndarray,
    signed: bool,
    extent: tuple[float, float, float, float],
) -> None:
    top = float(np.abs(values).max()) or 1.0
    if not signed:
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
        axis.imshow(values, cmap="cividis", vmin=0, vmax=top, alpha=COVER, extent=extent)
    else:
        axis.imshow(values, cmap="PuOr", vmin=-top, vmax=top, extent=extent)
