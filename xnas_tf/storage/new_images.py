"""Converts new images, as arrays or files, as the images of a run's data set were converted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xnas_tf.data import Dataset
from xnas_tf.data.given_values import check_several, stored_images
from xnas_tf.data.new_files import image_paths, is_deep, read_files
from xnas_tf.data.options import DatasetOptions
from xnas_tf.data.value_scaling import Scaling
from xnas_tf.errors import InputError


def new_images(
    images: Any,
    options: DatasetOptions,
    shape: tuple[int, int, int],
    value_range: tuple[float, float],
    run: Path,
    load: Callable[[], Dataset],
) -> np.ndarray:
    """Convert images to levels, (N, H, W, C), as uint8; see ``Run.prepare`` for errors.

    Args:
        images: An array, or one or several image files.
        options: The options of the run's data set.
        shape: The shape of one of the data set's images: height, width, channels.
        value_range: The values of arrays that become level 0 and level 255.
        run: The run directory, for messages.
        load: Loads the data set as it was in the search.
    """
    if files := image_paths(images):
        check_files_fit(shape[2], value_range, str(run))
        # Only the scale of images with more than 8 bits depends on the data set.
        is_any_deep = any(map(is_deep, files))
        scales = load().findings.full_scales if is_any_deep else None
        return np.stack(read_files(files, shape[:2], shape[2], scales))
    check_several(images, shape)
    size = shape[:2] if options.size else None
    found = stored_images(images, value_range, size, options.channels)
    if found.shape[1:] != shape:
        raise InputError(f"`images` have shape {found.shape[1:]} each; those of {run} are {shape}")
    return found


def check_files_fit(channels: int, value_range: tuple[float, float], run: str) -> None:
    """Check that image files may be read for a model; see ``new_images`` for the arguments.

    Raises:
        InputError: If it is unknown which values of the arrays those of image files stand for, or
            the images have neither 1 nor 3 channels.
    """
    low, high = value_range
    if not Scaling(low, high).is_usual:
        raise InputError(
            f"`images` are files, but {run} searched arrays with values from {low:.6g} to "
            f"{high:.6g}; allowed: arrays with values on this scale"
        )
    if channels not in (1, 3):
        raise InputError(
            f"`images` are files, but the images of {run} have {channels} channels; allowed: "
            "arrays of such images"
        )
