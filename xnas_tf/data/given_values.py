"""Converts new images to uint8 in the same way as the arrays from which a data set was made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from xnas_tf.data.dataset import channels_last, check_images
from xnas_tf.data.resizing import resized
from xnas_tf.data.value_scaling import LEVELS, levels_between
from xnas_tf.errors import InputError

_NAME = "`images`"
_UNLIKE = 50.0
"""Values this many times smaller are on another scale, as for two splits of a data set."""
_MOST_OUTSIDE = 0.05
"""Largest share of values outside the data set's range for which the scale is the same."""
_NARROW = 0.25
"""Share of the data set's range below which the range of new images is reported."""


def stored_images(
    images: Any,
    value_range: tuple[float, float],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """Convert images in the same way as the images from which the data set was made.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), with values on the scale of the data set's
            arrays. Images of type uint8 with values above that range have already been converted.
        value_range: The values that become level 0 and level 255; see ``value_scaling.Scaling``.
        size: Height and width to which the data set resizes its images; None if it does not resize
            them.
        channels: Number of channels to which the data set converts its images; None if it does not
            convert them.

    Returns:
        Images, (N, H, W, C), uint8.

    Raises:
        InputError: If the argument is not an array of images, or its values are not on the data
            set's scale.
    """
    array, _ = channels_last(np.asarray(check_images(images, _NAME)))
    array = np.asarray(array)
    if not is_stored(array, value_range):
        array = _as_levels(array, *value_range)
    return np.asarray(resized(array, size, channels, _NAME))


def check_several(images: Any, shape: Sequence[int]) -> None:
    """Check that ``images`` are not a single image without the first axis.

    Args:
        images: See ``stored_images``.
        shape: The shape of one image, (height, width, channels).

    Raises:
        InputError: If they are. An array (H, W, 3) would otherwise be read as H grey images, and
            these may even fit, because a data set can resize them and make them colour images.
    """
    try:
        given = np.shape(images)
    except ValueError:  # images of different sizes, reported later
        return
    size, channels = tuple(shape[:2]), shape[2]
    is_same = given == tuple(shape) or (given == size and channels == 1)
    is_colour = len(given) == 3 and given[1:] != size and given[2] in {1, 3, 4, channels}
    if is_same or is_colour:
        raise InputError(
            f"{_NAME} have shape {given}, which is that of a single image; allowed: (N, H, W) or "
            "(N, H, W, C), so pass x[None] for a single image x"
        )


def is_stored(images: np.ndarray, value_range: tuple[float, float]) -> bool:
    """Return whether images are uint8 levels rather than values to convert.

    Raises:
        InputError: If they may be either.
    """
    if images.dtype != np.uint8 or value_range == (0, LEVELS):
        return images.dtype == np.uint8
    low, high = value_range
    if high > LEVELS / 2:
        if _share_outside(images, low, high) > _MOST_OUTSIDE:
            return True
        raise InputError(
            f"{_NAME} of type uint8 may be values of {low:.6g} to {high:.6g} or stored images; "
            "allowed: values of another type, such as float32; or divide stored images by 255 "
            "instead"
        )
    return bool(images.max() > high)


def _share_outside(images: np.ndarray, low: float, high: float) -> float:
    """Return the share of the values that lie outside a range by more than half a level."""
    margin = (high - low) / LEVELS / 2
    return float(((images < low - margin) | (images > high + margin)).mean())


def _as_levels(images: np.ndarray, low: float, high: float) -> np.ndarray:
    least, most = float(images.min()), float(images.max())
    given, known = f"{_NAME} have values from {least:.6g} to {most:.6g}", f"{low:.6g} to {high:.6g}"
    outside = _share_outside(images, low, high)
    largest = max(abs(least), abs(most))
    if outside > _MOST_OUTSIDE or 0 < _UNLIKE * largest < max(abs(low), abs(high)):
        raise InputError(f"{given}, but those of the search had {known}: use the same scale")
    if outside:
        warnings.warn(f"{given}; those outside {known} are cut off ({outside:.2%})", stacklevel=6)
    if most - least < _NARROW * (high - low):
        warnings.warn(
            f"{given} only, but those of the search had {known}. Were they prepared already, or "
            "are they on another scale?",
            stacklevel=6,
        )
    return levels_between(images, low, high).astype(np.uint8)
