"""States how images must be prepared for an exported model: exactly as the search did it."""

from __future__ import annotations

from typing import Any

from xnas_tf.data import Dataset
from xnas_tf.data.value_scaling import LEVELS, conversion_text
from xnas_tf.exporting.evidence import Evidence
from xnas_tf.storage.run import Run
from xnas_tf.utils.image_size import size_text

_MODES = {1: "L", 3: "RGB"}
"""Pillow's modes, by number of channels."""


def input_text(run: Run, facts: dict[str, Any]) -> str:
    """Describe the images that a run's models take, given the recorded facts about the data."""
    text = "uint8 images (batch, height, width, channels), 0 to 255"
    # Earlier versions recorded the range only in the facts, and only if it was unusual.
    low, high = run.fact("value_range") or facts.get("values") or (0, LEVELS)
    if (low, high) == (0, LEVELS):
        return text
    return (
        f"{text}, converted from values x between low and high by "
        f"{conversion_text(low, high)}; values outside are cut off"
    )


def preparation_text(evidence: Evidence) -> str:
    """Describe how ``data.decoding.read_image`` prepared the search's images.

    Returns:
        The steps, in order; empty if the images are arrays that were not resized or converted, or
        if the data cannot be loaded.
    """
    data, options = evidence.data, evidence.run.config.dataset
    if data is None:
        return ""
    sizes = {tuple(size) for size in data.findings.sizes.values()}
    if sizes and not data.findings.are_arrays:
        return f"The search read image files with Pillow, in this order: {'; '.join(_steps(data))}."
    if options.size or options.channels or sizes - {data.image_shape[:2]}:
        return f"The search prepared images with Pillow: {'; '.join(_resizing(data))}."
    return ""


def _steps(data: Dataset) -> list[str]:
    longest = 2 * max(data.image_shape[:2])
    scales = [
        f"values v of mode {mode} become np.clip(v.astype(int) * 255 // {top}, 0, 255)"
        for mode, top in data.findings.full_scales.items()
    ]
    return [
        'open the file with Image.open(open(path, "rb"))',  # as in ``decoding._opened``
        f"decode large JPEG files at a reduced size, with draft(None, ({longest}, {longest}))",
        "rotate the image according to its EXIF orientation, with ImageOps.exif_transpose",
        *scales,
        "put transparent images on a white background, with Image.alpha_composite",
        *_resizing(data),
    ]


def _resizing(data: Dataset) -> list[str]:
    height, width, channels = data.image_shape
    mode = _MODES.get(channels)
    convert = [f'convert("{mode}")'] if mode else []
    stretch = (
        f"stretch the image to {size_text(height, width)} pixels (height x width) with "
        f"resize(({width}, {height}), Image.Resampling.BILINEAR), without cropping it"
    )
    return [*convert, stretch]
