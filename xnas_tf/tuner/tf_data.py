"""Reads the images and labels of a ``tf.data.Dataset`` into arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnas_tf.data.quality import digests_of
from xnas_tf.errors import InputError

_IMAGE = 3
"""Number of axes of an image with channels."""


def is_dataset(data: Any) -> bool:
    """Return whether an object is a ``tf.data.Dataset``, without importing TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def elements(dataset: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a ``tf.data.Dataset`` of pairs, which may be batched.

    Raises:
        InputError: If the elements are not pairs, the data set is infinite or empty, or the images
            differ in shape.
    """
    spec = dataset.element_spec
    if not (isinstance(spec, tuple) and len(spec) == 2 and all(hasattr(s, "shape") for s in spec)):
        raise InputError(f"{name} has elements {spec}; allowed: pairs (image, label)")
    if int(dataset.cardinality()) == -1:
        raise InputError(f"{name} is infinite; allowed: one pass over the images, without repeat()")
    join = np.concatenate if _is_batched(spec[0].shape, spec[1].shape, name) else np.stack
    pairs = [*dataset.as_numpy_iterator()]
    if not pairs:
        raise InputError(f"{name} is empty")
    try:
        images, labels = (join(each) for each in zip(*pairs, strict=True))
    except ValueError as error:
        raise InputError(f"{name}: images differ in shape: {error}") from error
    return images, labels


def sorted_by_content(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return images and labels in an order that depends only on their content.

    A ``tf.data.Dataset`` may shuffle them.
    """
    digests = digests_of(images)
    keys = [(digests[row].tobytes(), str(label)) for row, label in enumerate(labels.tolist())]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return images[order], labels[order]


def _is_batched(image: Any, label: Any, name: str) -> bool:
    """Return whether elements of these shapes are batches: (B, H, W[, C]) and (B,) or (B, K)."""
    if image.rank is not None and label.rank is not None:
        if image.rank != _IMAGE or label.rank == 0:
            return bool(image.rank > _IMAGE)
        if label.rank > 1 or image[0] is None:
            return True
        if image[0] != label[0]:  # an image (H, W, C) with a one-hot label
            return False
    raise InputError(
        f"{name} has elements of shapes {image} and {label}, which may be an image and a label or "
        "batches of them; allowed: batches (B, H, W, C) and (B,)"
    )
