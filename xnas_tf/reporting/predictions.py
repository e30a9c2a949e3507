"""A model's predictions as plain data: confusion and accuracies with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from xnas_tf.utils.intervals import accuracy_interval


def answers_data(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """A model's answers on the test part.

    Returns:
        ``confusion`` (classes, classes), true class by row; and of all images and of each class
        ``[low, accuracy, high]``, with Wilson's interval (1927), None for a class without images.
    """
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    right, all_of = np.diag(confusion), confusion.sum(axis=1)
    return {
        "confusion": confusion.tolist(),
        "accuracy": accuracy_interval(int(right.sum()), len(labels)),
        "classes": [accuracy_interval(*pair) for pair in zip(right, all_of, strict=True)],
    }
