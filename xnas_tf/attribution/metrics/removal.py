"""Deletion and insertion: the probability as the most important pixels are removed or added."""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.baselines import BaselineName
from xnas_tf.attribution.metrics.scores import (
    PROBABILITIES,
    Scores,
    baselines_of,
    checked_images,
    replaced,
)
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError


def deletion(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    steps: int = 16,
    baseline: BaselineName = "zero",
) -> np.ndarray:
    """Compute the area under the deletion curve, (N,), in [0, 1]; lower is better.

    Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421): with a good ranking of the pixels the
    probability of the target class falls quickly. See ``deletion_curves``.
    """
    return _area(
        deletion_curves(model, images, maps, targets, steps=steps, baseline=baseline), maps
    )


def insertion(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    steps: int = 16,
    baseline: BaselineName = "blurred",
) -> np.ndarray:
    """Compute the area under the insertion curve, (N,), in [0, 1]; higher is better.

    Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421) start from a blurred image, because sharp
    edges on black would be evidence themselves. See ``insertion_curves``.
    """
    return _area(
        insertion_curves(model, images, maps, targets, steps=steps, baseline=baseline), maps
    )


def deletion_curves(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    steps: int = 16,
    baseline: BaselineName = "zero",
) -> np.ndarray:
    """Compute the target class's probability as the baseline replaces the most important pixels.

    Pixels with equal values are replaced row by row. All channels of a pixel are replaced
    together.

    Args:
        model: A Keras classifier; logits are converted to probabilities.
        images: (N, H, W[, C]), floats in the model's range.
        maps: (N, H, W).
        targets: See ``Targets``; not ``"all"``.
        steps: Number of equal steps, at most the number of pixels.
        baseline: What replaces the pixels.

    Returns:
        (N, steps + 1), float64: from the complete image to the baseline alone. A row of NaN
        where a map isn't finite.

    Raises:
        InputError: If images, maps or targets don't fit, or ``steps`` is less than 1.
    """
    images = checked_images(images, maps)
    scores = Scores(model, images, targets, PROBABILITIES)
    return _curves(scores, images, baselines_of(baseline, images), maps, steps)


def insertion_curves(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    steps: int = 16,
    baseline: BaselineName = "blurred",
) -> np.ndarray:
    """Compute the target class's probability as the most important pixels replace the baseline.

    See ``deletion_curves``; these curves run from the baseline alone to the complete image.
    """
    images = checked_images(images, maps)
    scores = Scores(model, images, targets, PROBABILITIES)
    return _curves(scores, baselines_of(baseline, images), images, maps, steps)


def _curves(
    scores: Scores, before: np.ndarray, after: np.ndarray, maps: np.ndarray, steps: int
) -> np.ndarray:
    """Return scores (N, steps + 1) as pixels change, the highest map values first."""
    if steps < 1:
        raise InputError(f"given {steps} steps; allowed: at least 1")
    counts = _counts(maps, steps)
    order = np.argsort(-maps.reshape(len(maps), counts[-1]), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1).reshape(maps.shape)

    def copies(rows: slice) -> np.ndarray:
        changed = ranks[rows, None] < counts[:, None, None]
        return replaced(before[rows], after[rows], changed)

    curves = scores(len(counts), copies)
    curves[~np.isfinite(maps).all(axis=(1, 2))] = np.nan
    return curves


def _counts(maps: np.ndarray, steps: int) -> np.ndarray:
    """Return the number of pixels changed after each step, (steps + 1,)."""
    pixels = int(np.prod(maps.shape[1:]))
    return np.linspace(0, pixels, min(steps, pixels) + 1).round().astype(int)


def _area(curves: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Integrate each curve over the share of changed pixels by the trapezoidal rule."""
    counts = _counts(maps, curves.shape[1] - 1)
    return (curves[:, 1:] + curves[:, :-1]) / 2 @ (np.diff(counts) / counts[-1])
