"""Attributions of a model drawn beside their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xnas_tf.explanation.explanation_data import ExplanationData

if TYPE_CHECKING:
    import PIL.Image

SIDE = 224
"""Pixels of an overlay's longer side, at least."""
GAP = 1.08
"""From one image to the next, in widths."""
COVER = 0.65
"""How far a map without a sign covers its image."""


def attribution_figure(explained: ExplanationData, title: str = "", images: Sequence[int] = ()):
    """Draw images in the first row and a method's maps in each row below.

    Maps without a sign lie over their image from dark blue to yellow (cividis, made for
    colour-blind readers). Signed ones go from orange (against the class) over white to purple
    (for it), each image scaled to its own largest value.

    Args:
        explained: The explanation.
        title: A heading.
        images: Numbers of the images drawn; all if empty.

    Returns:
        A matplotlib ``Figure``.
    """
    from matplotlib.figure import Figure

    drawn = list(images) or range(len(explained.images))
    count, rows = len(drawn), 1 + len(explained.maps)
    figure = Figure(figsize=(1.15 * count + 1.2, 1.25 * rows + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=10)
    # One axes a row: one for each picture took three times as long to draw.
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
        place = {"xy": (left + width / 2, 0), "xytext": (0, 3), "textcoords": "offset points"}
        first.annotate(heading, **place, ha="center", fontsize=8, color=colour)
    return figure


def overlay(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """One map over its image in grey, enlarged to at least 224 pixels.

    Args:
        image: (H, W, C).
        values: The map, (H, W).
        signed: Whether it has a sign; see ``attribution_figure`` for the colours. A signed
            map covers its image the more, the stronger it is.
    """
    import PIL.Image

    cover = 0.25 + 0.75 * np.abs(_share(values))[..., None] if signed else COVER
    picture = _over(image, _coloured(values, signed), cover)
    factor = -(-SIDE // max(values.shape))
    return picture.resize([factor * n for n in picture.size], PIL.Image.Resampling.NEAREST)


def map_picture(image: np.ndarray, values: np.ndarray, signed: bool) -> PIL.Image.Image:
    """One map as ``attribution_figure`` draws it, a pixel each; see ``overlay``."""
    return _over(image, _coloured(values, signed), 1.0 if signed else COVER)


def _over(image: np.ndarray, colours: np.ndarray, cover: Any) -> PIL.Image.Image:
    """Colours (H, W, 3) over an image in grey, which they cover so far."""
    import PIL.Image

    grey = drawable(image).astype(float)
    grey = grey.mean(axis=-1) if grey.ndim == 3 else grey
    mixed = cover * colours + (1 - cover) * grey[..., None]
    return PIL.Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _coloured(values: np.ndarray, signed: bool) -> np.ndarray:
    """Colours (H, W, 3) from 0 to 255, scaled to the map's own largest value."""
    from matplotlib import colormaps

    share = _share(values)
    colours = colormaps["PuOr" if signed else "cividis"]((share + 1) / 2 if signed else share)
    return colours[..., :3] * 255


def _share(values: np.ndarray) -> np.ndarray:
    return values / (float(np.abs(values).max()) or 1.0)


def _heading(explained: ExplanationData, number: int) -> tuple[str, str]:
    """What an image is taken for, and the colour to say it in."""
    names = explained.class_names
    predicted = names[int(explained.predicted[number])]
    if explained.labels is None:
        return predicted, "black"
    true = names[int(explained.labels[number])]
    return (true, "black") if true == predicted else (f"{true}, taken for {predicted}", "#a00")


def drawable(image: np.ndarray) -> np.ndarray:
    """Values from 0 to 255, in colours or grey; other numbers of channels show their first."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = (image - low) * (255 / ((high - low) or 1.0))
    if image.ndim == 2:
        return image
    return image[..., :3].astype(np.uint8) if image.shape[-1] >= 3 else image[..., 0]


def _draw_map(
    axis, image: np.ndarray, values: np.ndarray, signed: bool, extent: tuple[float, ...]
) -> None:
    top = float(np.abs(values).max()) or 1.0
    if not signed:
        axis.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
        axis.imshow(values, cmap="cividis", vmin=0, vmax=top, alpha=COVER, extent=extent)
    else:
        axis.imshow(values, cmap="PuOr", vmin=-top, vmax=top, extent=extent)
