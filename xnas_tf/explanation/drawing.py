"""Draws attribution maps and the images that they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import PIL.ImageDraw

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.metrics import is_empty, is_flat
from xnas_tf.interpretation.drawing import new_figure, set_title, wrapped
from xnas_tf.utils.shown_channels import shown_channels, shown_channels_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 10
"""Number of images in a row of a saved figure."""
SIDE = 224
"""Smallest length of an overlay's longer side, in pixels."""
LOWEST, HIGHEST = 0.7, 3.0
"""Limits of the height of a row of images in inches, for very wide or tall images."""
COVER = 0.65
"""Opacity of an unsigned map over its image."""


def attribution_figure(
    images: np.ndarray,
    maps: Mapping[AttributionMethod, np.ndarray],
    headings: Sequence[tuple[str, str]],
    title: str,
) -> Figure:
    """Draw images in the first row, and below them one row of maps for each method.

    Unsigned maps are drawn over their image in grey, in colours from dark blue to yellow (cividis,
    which is suitable for colour-blind readers). Signed maps range from orange (against the class)
    through white to purple (for the class). Each map is scaled to its own largest value; empty and
    flat maps are marked.

    The images are (N, H, W, C), the maps (N, H, W), and a heading is a text and its colour.
    """
    count, rows = len(images), 1 + len(maps)
    texts = [wrapped(text, 1.1) for text, _ in headings]
    lines = 1 + max(text.count("\n") for text in texts)
    pictures = [drawable(image) for image in images]
    height, width = pictures[0].shape[:2]
    row = min(max(1.1 * height / width, LOWEST), HIGHEST) + 0.15
    figure = new_figure(1.15 * count + 1.5, row * rows + 0.5 + 0.13 * lines)
    set_title(figure, title)
    # One axes per row, because one per image takes three times as long to draw.
    axes = figure.subplots(rows, squeeze=False)[:, 0]
    lefts = 1.08 * width * np.arange(count)  # with a gap
    extents = [(left, left + width, height, 0) for left in lefts]
    for picture, extent in zip(pictures, extents, strict=True):
        axes[0].imshow(picture, "gray", vmin=0, vmax=255, extent=extent)
    for axis, (method, values) in zip(axes[1:], maps.items(), strict=True):
        for picture, value, extent in zip(pictures, values, extents, strict=True):
            _draw_map(axis, picture, value, extent, method.signed)
        _add_scale(axis, method.signed)
    channels = shown_channels_text(images[0].shape[-1]) if images[0].ndim == 3 else ""
    shown = f"image ({channels})" if channels else "image"
    for axis, label in zip(axes, [shown, *(method.title for method in maps)], strict=True):
        axis.set(xlim=(0, lefts[-1] + width), ylim=(height, 0), xticks=[], yticks=[])
        axis.set_ylabel(wrapped(label, 1.1), fontsize=8)
        axis.spines[:].set_visible(False)
        axis.set_anchor("W")  # so that the images of all rows are in line
    for text, (_, colour), left in zip(texts, headings, lefts, strict=True):
        place, shift = (left + width / 2, 0), (0, 3)
        axes[0].annotate(
            text, place, shift, textcoords="offset points", ha="center", fontsize=8, color=colour
        )
    return figure


def _draw_map(
    axis: Axes,
    picture: np.ndarray,
    values: np.ndarray,
    extent: tuple[float, float, float, float],
    signed: bool,
) -> None:
    """Draw a map at a place of a row, over its picture if it is unsigned."""
    if signed:
        axis.imshow(_share(values), "PuOr", vmin=-1, vmax=1, extent=extent)
    else:
        axis.imshow(_grey(picture), "gray", vmin=0, vmax=255, extent=extent)
        axis.imshow(_share(values), "cividis", vmin=0, vmax=1, alpha=COVER, extent=extent)
    if mark := _mark(values):
        middle = np.mean(extent[:2]), np.mean(extent[2:])
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
        axis.text(*middle, mark, ha="center", va="center", fontsize=7, bbox=box)


def overlay(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """Draw a map (H, W) over its image (H, W, C) in grey, scaled up to at least 224 pixels.

    The opacity of a signed map increases with its absolute values.
    """
    cover = 0.25 + 0.75 * np.abs(_share(values))[..., None] if signed else COVER
    picture = _over(image, _coloured(values, signed), cover)
    factor = -(-SIDE // max(values.shape))
    picture = picture.resize([factor * n for n in picture.size], PIL.Image.Resampling.NEAREST)
    if mark := _mark(values):
        brush = PIL.ImageDraw.Draw(picture)
        brush.rectangle(brush.textbbox((6, 6), mark), fill="white")
        brush.text((6, 6), mark, fill="black")
    return picture


def map_picture(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """Draw a map (H, W) as in ``attribution_figure``, one pixel per value."""
    return _over(image, _coloured(values, signed), 1.0 if signed else COVER)


def _over(image: np.ndarray, colours: np.ndarray, cover: np.ndarray | float) -> PIL.Image.Image:
    """Draw colours (H, W, 3) with opacity ``cover`` over an image in grey."""
    mixed = cover * colours + (1 - cover) * _grey(drawable(image))[..., None]
    return PIL.Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _grey(picture: np.ndarray) -> np.ndarray:
    """Return a picture of ``drawable`` in grey, (H, W), so that only the map is in colour."""
    return picture.mean(axis=-1) if picture.ndim == 3 else picture.astype(float)


def _mark(values: np.ndarray) -> str:
    """Return the text to write over a map that shows no place, otherwise an empty string."""
    if not np.isfinite(values).all():
        return "not finite"
    if is_empty(values[None])[0]:
        return "empty map"
    return "flat map" if is_flat(values[None])[0] else ""


def _add_scale(axis: Axes, signed: bool) -> None:
    """Draw the colours of a row of maps to its right, with what their ends mean."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415 - heavy
    from matplotlib.colors import Normalize  # noqa: PLC0415 - heavy

    low = -1 if signed else 0
    colours = ScalarMappable(Normalize(low, 1), "PuOr" if signed else "cividis")
    bar = axis.figure.colorbar(
        colours, ax=axis, fraction=0.02, pad=0.01, shrink=0.8, ticks=[low, 1]
    )
    bar.ax.set_yticklabels(["against", "for"] if signed else ["unimportant", "important"])
    bar.ax.tick_params(labelsize=8, length=0)
    bar.outline.set_visible(False)


def _coloured(values: np.ndarray, signed: bool) -> np.ndarray:
    """Return the colours of a map, (H, W, 3) from 0 to 255, scaled to its largest value."""
    from matplotlib import colormaps  # noqa: PLC0415 - heavy

    share = _share(values)
    colours = colormaps["PuOr" if signed else "cividis"]((share + 1) / 2 if signed else share)
    return colours[..., :3] * 255


def _share(values: np.ndarray) -> np.ndarray:
    """Scale a map to its largest value; return 0 for a map that is empty or not finite."""
    largest = float(np.abs(values).max())
    return values / largest if 0 < largest < np.inf else np.zeros_like(values)


def drawable(image: np.ndarray) -> np.ndarray:
    """Return an image with values from 0 to 255, in colour (H, W, 3) or in grey (H, W).

    Not all channels may be shown; see ``shown_channels``.
    """
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (image - low) * (255 / ((high - low) or 1.0))
    if image.ndim == 2:
        return image
    shown = shown_channels(image)
    return shown.astype(np.uint8) if shown.ndim == 3 else shown
