"""How well predicted probabilities agree with the share of correct predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15
"""Number of bins of equal width, as published."""


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any] | None:
    """Compute the expected calibration error of a classifier (Guo et al. 2017, arXiv 1706.04599).

    Args:
        probabilities: (N, classes).
        labels: True classes, (N,).

    Returns:
        ``error``: the mean difference between confidence, the largest probability, and accuracy
        in ``bins`` of equal confidence, weighted by their images; and the mean ``confidence``.
        None without images.
    """
    if not len(labels):
        return None
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, confidence - right, BINS)
    error = float(np.abs(gaps).sum() / len(labels))
    return {"error": error, "confidence": float(confidence.mean()), "bins": BINS}
