"""Loads data sets with the size and channels of a model's input."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from xnas_tf.data import Dataset, load_dataset
from xnas_tf.data.disk_images import DiskImages
from xnas_tf.errors import InputError


def data_for(
    model: keras.Model, dataset: str | Dataset, log: Callable[[str], None] = lambda _: None
) -> Dataset:
    """Return a data set whose images fit a model.

    A named data set is loaded with the size and channels of the model's input, as far as
    these are fixed. The splits do not depend on the size.

    Args:
        model: A Keras image classifier.
        dataset: A data set or its name.
        log: Called with a line that says how the images are converted, if they are.

    Raises:
        InputError: If the data set cannot be loaded, or its images do not fit the model.
    """
    if isinstance(dataset, Dataset):
        data, advice = dataset, "; to have the images converted, give the data set's name"
    else:
        size, channels = _fixed(model)
        data = load_dataset(dataset, size=size, channels=channels, log=log)
        advice = ""
        if text := _conversion(data, size is not None, channels):
            log(f"data set {data.name}: images are {text} to fit the model's input")
    if expected := expected_shape(model, data.image_shape):
        raise InputError(
            f"data set {data.name}: images of shape {data.image_shape}; the model expects "
            f"{expected}{advice}"
        )
    return data


def expected_shape(model: keras.Model, shape: Sequence[int]) -> tuple[int | None, ...] | None:
    """Return the shape of a model's inputs if images of ``shape`` do not fit it; otherwise None."""
    known = getattr(model, "input_shape", None)  # unknown for subclassed models
    if not isinstance(known, tuple):
        return None
    pairs = zip(known[1:], shape, strict=False)  # (H, W) also takes (H, W, 1)
    return known[1:] if any(size not in (None, given) for size, given in pairs) else None


def _fixed(model: keras.Model) -> tuple[tuple[int, int] | None, int | None]:
    """Return the size and the channels to which images can be converted; None where not fixed."""
    shape = getattr(model, "input_shape", None)
    if not (isinstance(shape, tuple) and len(shape) == 4 and shape[3] in (1, 3)):
        return None, None
    _, height, width, channels = shape
    return ((height, width) if height and width else None), channels


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
