"""The form of targets that a compiled model's loss and metrics expect."""

from __future__ import annotations

import keras
import numpy as np


def takes_class_numbers(loss: object) -> bool:
    """Return whether a loss expects class numbers (sparse) rather than one-hot vectors."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
    return "sparse" in name.lower()


def targets_for(model: keras.Model, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return class numbers (N,), or one-hot vectors (N, classes) if the model's loss expects them.

    A compiled model without a loss, whose ``train_step`` has its own, gets class numbers.
    """
    if model.loss is None or takes_class_numbers(model.loss):
        return labels
    return np.eye(classes, dtype=np.float32)[labels]
