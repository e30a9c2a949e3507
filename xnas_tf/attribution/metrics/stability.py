"""Stability: how far a map moves when its image hardly does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from xnas_tf.attribution.metrics.scores import Scores, checked_images
from xnas_tf.attribution.metrics.statistics import share_of_larger
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError

Explain = Callable[[keras.Model, Any, Any], np.ndarray]
"""Model, images (N, H, W[, C]) and class numbers (N,) -> maps (N, H, W), as of a method."""


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
    """Largest change of a map under small noise on the image, as a share of the map.

    Yeh et al. 2019 (arXiv 1901.09392, definition 3.1), the maximum taken over samples: noise
    uniform in a cube around the image, the same for every image; the class stays that of the
    image itself. The norm of the change is divided by the larger norm of the two maps, so
    that empty maps, which Grad-CAM often gives, do not weigh without bounds.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        method: An attribution method, or a function that is called like one.
        targets: See ``Targets``, without ``"all"``.
        rng: Draws the noise.
        radius: Half of the cube's side, in the images' units.
        samples: Number of noisy copies.

    Returns:
        (N,), float64, in [0, 2]; less is better. 0 where the map doesn't change, also where
        it is always empty.

    Raises:
        InputError: If images or targets don't fit, or there are no samples.
    """
    images = checked_images(images)
    if samples < 1:
        raise InputError(f"given {samples} samples; allowed: at least 1")
    targets = Scores(model, images, targets).targets
    maps = method(model, images, targets)
    changes = []
    for _ in range(samples):
        noise = rng.uniform(-radius, radius, images.shape[1:]).astype(np.float32)
        moved = method(model, images + noise, targets)
        changes.append(share_of_larger(_norm(moved - maps), _norm(moved), _norm(maps)))
    return np.max(changes, axis=0)


def _norm(maps: np.ndarray) -> np.ndarray:
    return np.linalg.norm(maps.astype(np.float64), axis=(1, 2))
