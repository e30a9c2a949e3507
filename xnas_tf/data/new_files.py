"""Reads new image files as the files of a data set were read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data.decoding import Unreadable, look_at, read_image
from xnas_tf.errors import InputError


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
    """Read image files, each as (height, width, channels), uint8; see ``decoding.read_image``.

    A warning says if values are above the data set's scale, and so are cut off.

    Args:
        files: The image files.
        size: Height and width; None keeps each image's own.
        channels: 1 or 3.
        scales: The data set's ``Findings.full_scales``; computed for each image alone if None.

    Raises:
        InputError: If a file cannot be read.
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
    """Warn if an image has values above the data set's scale."""
    look = look_at(file)
    top = scales.get(look.mode, look.highest)
    if look.highest > top:
        warnings.warn(
            f"image {file} has values up to {look.highest:,}; those above {top:,}, the end of the "
            "data set's scale, are cut off",
            stacklevel=6,
        )


def is_deep(file: Path) -> bool:
    """Return whether an image has more than 8 bits; false if it cannot be read."""
    try:
        return look_at(file).highest > 0
    except Unreadable:  # reported when it is read
        return False
