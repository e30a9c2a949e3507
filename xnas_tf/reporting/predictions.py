"""Computes data on a model's predictions: confusion matrix, accuracies and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix

from xnas_tf.utils.intervals import CONFIDENCE, accuracy_interval

BINS = 10
"""Number of confidence bins."""


def metrics_on_test(labels: np.ndarray, probabilities: np.ndarray, classes: int) -> dict[str, Any]:
    """Summarise a model's predicted probabilities (N, classes) on the test split.

    Returns:
        The number of ``images``; the ``confidence`` level of the intervals; the ``calibration``;
        ``confusion`` (classes, classes), with true classes in rows; ``accuracy`` over all images;
        and ``classes``, the accuracy of each class, or None for a class without images. Accuracies
        are given as ``[low, accuracy, high]``, with Wilson's interval (1927).
    """
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, labels=np.arange(classes))
    correct, totals = np.diag(confusion), confusion.sum(axis=1)
    return {
        "images": len(labels),
        "confidence": CONFIDENCE,
        "calibration": calibration_data(labels, probabilities),
        "confusion": confusion.tolist(),
        "accuracy": accuracy_interval(int(correct.sum()), len(labels)),
        "classes": [accuracy_interval(*pair) for pair in zip(correct, totals, strict=True)],
    }


def calibration_data(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Compare a model's confidence (the probability of the predicted class) with its accuracy.

    Returns:
        ``error``, the expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3) with
        bins of equal width; and ``bins``, with the mean confidence, the accuracy as ``[low,
        accuracy, high]`` with Wilson's 95% interval, and the number of images for each bin that
        contains images.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for place in np.unique(places):
        chosen = places == place
        count = int(chosen.sum())
        mean, right = float(confidence[chosen].mean()), int(correct[chosen].sum())
        bins.append([mean, accuracy_interval(right, count), count])
        error += abs(count * mean - right) / len(labels)
    return {"error": error, "bins": bins}
