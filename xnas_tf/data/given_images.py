"""Converts new images, given as files or arrays, in the same way as those of a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.checking import channels_last, check_images
from xnas_tf.data.decoding import Unreadable, look_at, read_image, resized
from xnas_tf.data.value_scaling import LEVELS, UNLIKE, levels_between
from xnas_tf.errors import InputError
from xnas_tf.utils.user_warnings import warn_user

_NAME = "`images`"
_MOST_OUTSIDE = 0.05
"""Largest share of values outside the data set's range for which the scale is the same."""
_NARROW = 0.25
"""Share of the data set's range below which the range of new images is reported."""


def image_paths(images: Any) -> list[Path]:
    """Return the paths if images are given as one path or a sequence of paths; otherwise none.

    Raises:
        InputError: If the sequence is empty, or an iterator is given.
    """
    given = [images] if isinstance(images, str | os.PathLike) else images
    if isinstance(given, np.ndarray) and given.dtype.kind == "U":
        given = given.ravel().tolist()
    if isinstance(given, Iterator):
        raise InputError(
            f"`images` is a {type(images).__name__}; allowed: an array or a list of image files, "
            "such as list(folder.glob('*.png'))"
        )
    if not isinstance(given, Sequence):
        return []
    if not given:
        raise InputError("`images` is empty; allowed: one or more image files, or an array")
    paths = [os.fspath(each) for each in given if isinstance(each, str | os.PathLike)]
    return [Path(path).expanduser() for path in paths] if len(paths) == len(given) else []


def read_files(
    files: Iterable[Path],
    size: tuple[int, int] | None,
    channels: int,
    scales: Mapping[str, int] | None = None,
) -> list[np.ndarray]:
    """Read image files as (height, width, channels), uint8; see ``decoding.read_image``.

    ``scales`` are the data set's ``Findings.full_scales``. A warning says if values are above them,
    and so are cut off.
    """
    images = []
    for file in files:
        try:
            if scales:
                _warn_if_brighter(file, scales)
            images.append(read_image(file, size, channels, scales))
        except Unreadable as error:
            raise InputError(f"image {file} cannot be read: {error}") from error
    return images


def _warn_if_brighter(file: Path, scales: Mapping[str, int]) -> None:
    look = look_at(file)
    top = scales.get(look.mode, look.highest)
    if look.highest > top:
        warn_user(
            f"image {file} has values up to {look.highest:,}; those above {top:,}, the end of the "
            "data set's scale, are cut off"
        )


def is_deep(file: Path) -> bool:
    """Return whether an image has more than 8 bits; false if it cannot be read."""
    try:
        return look_at(file).highest > 0
    except Unreadable:  # reported when it is read
        return False


def stored_images(
    images: Any,
    value_range: tuple[float, float],
    size: tuple[int, int] | None = None,
    channels: int | None = None,
) -> np.ndarray:
    """Convert arrays to images (N, H, W, C), uint8, as those of the data set were converted.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W), with values on the scale of the data set's
            arrays. Images of type uint8 with values above that range have already been converted.
        value_range: The values that become level 0 and level 255.
        size: Height and width of the data set's images, if it resizes them.
        channels: Number of channels of the data set's images, if it converts them.

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
    """Check that ``images`` are not a single image, whose ``shape`` is (height, width, channels).

    An array (H, W, 3) would otherwise be read as H grey images, and these may even fit, because a
    data set can resize them and make them colour images.
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
    """Return whether images are uint8 levels rather than values to convert; refuse unclear ones."""
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
    if outside > _MOST_OUTSIDE or 0 < UNLIKE * largest < max(abs(low), abs(high)):
        raise InputError(f"{given}, but those of the search had {known}: use the same scale")
    if outside:
        warn_user(f"{given}; those outside {known} are cut off ({outside:.2%})")
    if most - least < _NARROW * (high - low):
        warn_user(
            f"{given} only, but those of the search had {known}. Were they prepared already, or "
            "are they on another scale?"
        )
    return levels_between(images, low, high).astype(np.uint8)
