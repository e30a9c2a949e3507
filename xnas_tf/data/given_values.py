"""Converts further images with the values of a data set's arrays in the same way as those."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from xnas_tf.data.dataset import channels_last, check_images
from xnas_tf.data.resizing import resized
from xnas_tf.data.value_scaling import LEVELS, levels_between
from xnas_tf.errors import InputError

_NAME = "`images`"
_UNLIKE = 50.0
"""As for two splits of a data set: values this many times smaller are on another scale."""
_MOST_OUTSIDE = 0.05
"""Share of values beyond those of the data set above which they are on another scale."""
_NARROW = 0.25
"""Share of the data set's range below which the range of further images is reported."""


def stored_images(
    images: Any,
    value_range: tuple[float, float],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """Convert images as the data set stored those with which it was made.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), with values on the scale of the data set's
            arrays. uint8 images with values above that range are stored images already.
        value_range: The values of level 0 and of level 255; see ``value_scaling.Scaling``.
        size: Height and width to which the data set resizes its images, if it does.
        channels: Number of channels to which it converts them, if it does.

    Returns:
        Images, (N, H, W, C), uint8.

    Raises:
        InputError: If they are not images, or have other values than those of the data set.
    """
    array, _ = channels_last(np.asarray(check_images(images, _NAME)))
    array = np.asarray(array)
    if not _is_stored(array, value_range):
        array = _as_levels(array, *value_range)
    return np.asarray(resized(array, size, channels, _NAME))


def _is_stored(images: np.ndarray, value_range: tuple[float, float]) -> bool:
    """Return whether uint8 images have levels, not values."""
    if images.dtype != np.uint8 or value_range == (0, LEVELS):
        return images.dtype == np.uint8
    low, high = value_range
    if high > LEVELS / 2:
        raise InputError(
            f"{_NAME} of type uint8 may be values of {low:.6g} to {high:.6g} or stored images; "
            "allowed: values of another type, such as float32; or divide stored images by 255 "
            "instead"
        )
    return bool(images.max() > high)


def _as_levels(images: np.ndarray, low: float, high: float) -> np.ndarray:
    least, most = float(images.min()), float(images.max())
    given, known = f"{_NAME} have values from {least:.6g} to {most:.6g}", f"{low:.6g} to {high:.6g}"
    margin = (high - low) / LEVELS / 2
    outside = float(((images < low - margin) | (images > high + margin)).mean())
    largest = max(abs(least), abs(most))
    if outside > _MOST_OUTSIDE or 0 < _UNLIKE * largest < max(abs(low), abs(high)):
        raise InputError(f"{given}, but those of the search had {known}: use the same scale")
    if outside:
        warnings.warn(f"{given}; those outside {known} are cut off ({outside:.2%})", stacklevel=5)
    if most - least < _NARROW * (high - low):
        warnings.warn(
            f"{given} only, but those of the search had {known}. Were they prepared already, or "
            "are they on another scale?",
            stacklevel=5,
        )
    return levels_between(images, low, high).clip(0, LEVELS).astype(np.uint8)
