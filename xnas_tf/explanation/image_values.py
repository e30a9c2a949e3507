"""Checks and converts the values of images that are given to explain a model."""

from __future__ import annotations

import numpy as np

from xnas_tf.data.given_images import is_stored
from xnas_tf.data.value_scaling import LEVELS
from xnas_tf.errors import InputError
from xnas_tf.explanation.model_loading import ModelSubject
from xnas_tf.keras_tools.input_range import InputRange
from xnas_tf.keras_tools.range_names import DEFAULT_RANGE, limits_of

MARGIN = 0.1
"""How far values may lie outside a model's range, as a share of it: images may have been changed
a little, for example by noise."""


def model_images(images: np.ndarray, subject: ModelSubject) -> np.ndarray:
    """Convert images (N, H, W[, C]) to uint8 if they are on the value scale of a run's arrays.

    Raises:
        InputError: If the values fit neither the run's arrays nor its models, or fit both.
    """
    if (known := subject.value_range) is None:
        return images
    low, high = known
    if images.dtype == np.uint8:  # levels from 0 to 255, as everywhere; but not if none fits
        return images if is_stored(images, known) else subject.stored_images(images)
    if _outside(images, DEFAULT_RANGE):
        return subject.stored_images(images)
    is_within = 0 <= low and high <= 1 and (low, high) != (0, 1)
    if is_within and images.max() <= high + (high - low) / LEVELS:
        raise InputError(
            f"`images` have values from {images.min():.6g} to {images.max():.6g}, which may be "
            f"those of the run's arrays ({low:.6g} to {high:.6g}) or of its models (0 to 1); "
            "allowed: `run.stored_images(images)` for the former, or uint8 images"
        )
    return images


def check_values(images: np.ndarray, resolved: InputRange) -> None:
    """Check that images passed to a model unchanged have values within the model's range.

    Only a range that was given, or on which xnas-tf trained the model, is reliable enough for this
    check.

    Raises:
        InputError: If any values lie outside the range.
    """
    if resolved.origin in ("given", "trained") and _outside(images, resolved.name):
        raise InputError(
            f"`images` have values from {images.min():.6g} to {images.max():.6g}, but the model "
            f"expects {resolved.name} ({resolved.reason}); allowed: values in this range, such as "
            "`run.prepare(images)` for a model of a run, or uint8 images, which are scaled"
        )


def _outside(images: np.ndarray, name: str) -> bool:
    low, high = limits_of(name)
    margin = MARGIN * (high - low)
    return bool(images.min() < low - margin or images.max() > high + margin)
