"""Stability: how much a map changes under a small change of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from xnas_tf.attribution.metrics.scores import Scores
from xnas_tf.attribution.metrics.statistics import relative_to_larger
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError

Explain = Callable[[keras.Model, Any, Any], np.ndarray]
"""Model, images (N, H, W[, C]) and class indices (N,) -> maps (N, H, W), like a method."""


def max_sensitivity(
    model: keras.Model,
    images: np.ndarray,
    method: Explain,
    targets: Targets = "predicted",
    *,
    rng: np.random.Generator,
    radius: float = 0.02,
    samples: int = 4,
) -> np.ndarray:
    """Compute the largest relative change of a map under small noise on the image.

    Yeh et al. 2019 (arXiv 1901.09392, definition 3.1), with the maximum over samples. The noise
    is uniform in a cube around the image, whose side is twice the radius, and the same for every
    image; the class is that of the unchanged image. The norm of the change is divided by the
    larger norm of the two maps, so that empty maps, which are common with Grad-CAM, do not give
    unbounded values.

    Returns:
        (N,), float64, in [0, 2]; lower is better. 0 where the map doesn't change, including
        where it is always empty.
    """
    if samples < 1:
        raise InputError(f"given {samples} samples; allowed: at least 1")
    scores = Scores(model, images, targets, Outputs())
    maps = method(model, scores.images, scores.targets)
    changes = []
    for _ in range(samples):
        noise = rng.uniform(-radius, radius, scores.images.shape[1:]).astype(np.float32)
        noisy = method(model, scores.images + noise, scores.targets)
        changes.append(relative_to_larger(_norm(noisy - maps), _norm(noisy), _norm(maps)))
    return np.max(changes, axis=0)


def _norm(maps: np.ndarray) -> np.ndarray:
    return np.linalg.norm(maps.astype(np.float64), axis=(1, 2))
