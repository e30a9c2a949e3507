"""A model's predictions as plain data: confusion matrix and accuracies with intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from xnas_tf.utils.intervals import accuracy_interval


def predictions_data(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Any]:
    """Summarise a model's predictions on the test split.

    Returns:
        ``confusion`` (classes, classes), true class by row; and ``accuracy`` of all images and
        ``classes`` of each class as ``[low, accuracy, high]``, with Wilson's interval (1927);
        None for a class without images.
    """
    confusion = confusion_matrix(labels, predicted, labels=np.arange(classes))
    correct, totals = np.diag(confusion), confusion.sum(axis=1)
    return {
        "confusion": confusion.tolist(),
        "accuracy": accuracy_interval(int(correct.sum()), len(labels)),
        "classes": [accuracy_interval(*pair) for pair in zip(correct, totals, strict=True)],
    }
