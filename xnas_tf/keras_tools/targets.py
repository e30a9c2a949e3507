"""What a compiled model's loss and metrics want to know of an image's class."""

from __future__ import annotations

import keras
import numpy as np


def takes_class_numbers(loss: object) -> bool:
    """Whether a loss wants class numbers (sparse) rather than one-hot vectors."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return "sparse" in name.lower()


def targets_for(model: keras.Model, labels: np.ndarray, classes: int) -> np.ndarray:
    """Class numbers (N,), or one-hot vectors (N, classes) where the model's loss wants these.

    Args:
        model: A compiled model. One without a loss, whose ``train_step`` has its own, gets class
            numbers.
        labels: Class numbers, (N,).
        classes: Number of classes.
    """
    if model.loss is None or takes_class_numbers(model.loss):
        return labels
    return np.eye(classes, dtype=np.float32)[labels]
