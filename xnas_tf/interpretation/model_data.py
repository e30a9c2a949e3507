"""Loads data sets with the size and channels of a model's input."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from xnas_tf.data import Dataset, load_dataset, path_in
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.data.options import DatasetOptions
from xnas_tf.errors import InputError


def data_for(
    model: keras.Model,
    dataset: str | Dataset,
    log: Callable[[str], None] = lambda _: None,
    searched: DatasetOptions | None = None,
) -> Dataset:
    """Return a data set whose images fit a model.

    A named data set is loaded with the size and channels of the model's input, as far as these are
    fixed, and ``log`` is called with a line that says so. The splits do not depend on the size.
    ``searched``: see ``options_for``.

    Raises:
        InputError: If the data set cannot be loaded, or its images do not fit the model.
    """
    if isinstance(dataset, Dataset):
        _check_types(dataset)
        data, advice = dataset, "; to have the images converted, give the data set's name"
    else:
        fixed = fixed_input(model)
        data, advice = load_dataset(**{**options_for(dataset, searched), **fixed}, log=log), ""
        if text := _conversion(data, "size" in fixed, fixed.get("channels")):
            log(f"data set {data.name}: images are {text} to fit the model's input")
    if expected := expected_shape(model, data.image_shape):
        raise InputError(
            f"data set {data.name}: images of shape {data.image_shape}; the model expects "
            f"{expected}{advice}"
        )
    return data


def options_for(name: str, searched: DatasetOptions | None) -> dict[str, Any]:
    """Return the options with which to load a named data set.

    If it is the same as ``searched``, on which a run trained the model, it is loaded with the same
    options, because with another split, images that the model was trained on would be test images.
    """
    if searched is None or not _is_same(name, searched.name):
        return {"name": name}
    return {**searched.model_dump(), "name": name}


def _is_same(name: str, searched: str) -> bool:
    """Return whether two names belong to one data set, even if its path is written differently.

    If the path in ``searched`` does not exist here, because the data were moved or the path is
    relative to another folder, its last part decides.
    """
    if name.partition(":")[0] != searched.partition(":")[0]:
        return False
    paths = [path_in(each) for each in (name, searched)]
    if None in paths:
        return name == searched
    here, there = (Path(os.path.realpath(os.path.expanduser(path or "."))) for path in paths)
    return here == there or (here.name == there.name and not there.exists())


def _check_types(data: Dataset) -> None:
    """Raise an ``InputError`` unless images are uint8, as in data sets that were loaded."""
    for name, part in data.parts.items():
        if part.images.dtype != np.uint8:
            raise InputError(
                f"data set {data.name}: its {name} images are of type {part.images.dtype}; "
                "allowed: uint8, from 0 to 255. To have other values converted, save the arrays "
                "with np.savez, and give `npz:FILE`"
            )


def expected_shape(model: keras.Model, shape: Sequence[int]) -> tuple[int | None, ...] | None:
    """Return the shape of a model's inputs if images of ``shape`` do not fit it; otherwise None."""
    known = getattr(model, "input_shape", None)  # unknown for subclassed models
    if not isinstance(known, tuple):
        return None
    pairs = zip(known[1:], shape, strict=False)  # (H, W) also takes (H, W, 1)
    return known[1:] if any(size not in (None, given) for size, given in pairs) else None


def fixed_input(model: keras.Model) -> dict[str, Any]:
    """Return the ``channels``, and the ``size`` if fixed, to which a model's images are converted.

    The result is empty if the model takes neither grey nor colour images.
    """
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[3] in (1, 3)):
        return {}
    _, height, width, channels = shape
    return {"channels": channels, **({"size": (height, width)} if height and width else {})}


def _conversion(data: Dataset, is_sized: bool, channels: int | None) -> str:
    """Say how images were converted to a model's size and channels; empty if they were not."""
    *size, depth = data.source_shape or data.image_shape
    converted, note = f"converted from {depth} to {channels} channels", ""
    is_converted = channels not in (None, depth)
    if isinstance(data.test.images, DiskImages):
        size, note = list(data.findings.sizes.get("median", size)), " (median)"
        converted, is_converted = "read in grey", channels == 1
    wanted = list(data.image_shape[:2])
    resized = f"resized from {_pixels(size)}{note} to {_pixels(wanted)} pixels"
    parts = [resized] * (is_sized and size != wanted) + [converted] * is_converted
    return " and ".join(parts)


def _pixels(size: Sequence[int]) -> str:
    return " × ".join(map(str, size))
