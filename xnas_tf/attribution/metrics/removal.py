"""Deletion and insertion: the probability while the most important pixels go or come."""

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
    """Area under the deletion curve, (N,), in [0, 1]; less is better.

    Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421): a map that ranks pixels
    well lets the probability of the target class fall at once. See ``deletion_curves``.
    """
    return _area(
        deletion_curves(model, images, maps, targets, steps=steps, baseline=baseline), images
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
    """Area under the insertion curve, (N,), in [0, 1]; more is better.

    Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421), who begin with a blurred image,
    since sharp edges on black are evidence of their own. See ``insertion_curves``.
    """
    return _area(
        insertion_curves(model, images, maps, targets, steps=steps, baseline=baseline), images
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
    """Probability of the target class as pixels give way to the baseline, the highest first.

    Pixels of the same value go row by row. All channels of a pixel go together.

    Args:
        model: A Keras classifier; logits are turned into probabilities.
        images: (N, H, W[, C]), floats in the model's range.
        maps: (N, H, W).
        targets: See ``Targets``, without ``"all"``.
        steps: Equal parts in which the pixels go; at most as many as there are pixels.
        baseline: What is left in their place.

    Returns:
        (N, steps + 1), float64: from the whole image to the baseline alone. A row of NaN
        where a map isn't finite.

    Raises:
        InputError: If images, maps or targets don't fit, or there is no step.
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
    """Probability of the target class as pixels of the image take the baseline's place.

    See ``deletion_curves``; these run from the baseline alone to the whole image.
    """
    images = checked_images(images, maps)
    scores = Scores(model, images, targets, PROBABILITIES)
    return _curves(scores, baselines_of(baseline, images), images, maps, steps)


def _curves(
    scores: Scores, before: np.ndarray, after: np.ndarray, maps: np.ndarray, steps: int
) -> np.ndarray:
    """Scores (N, steps + 1) as pixels change from one image to the other, the highest first."""
    if steps < 1:
        raise InputError(f"given {steps} steps; allowed: at least 1")
    counts = _counts(maps, steps)
    order = np.argsort(-maps.reshape(len(maps), counts[-1]), axis=1, kind="stable")
    places = np.argsort(order, axis=1).reshape(maps.shape)

    def copies(rows: slice) -> np.ndarray:
        gone = places[rows, None] < counts[:, None, None]
        return replaced(before[rows], after[rows], gone)

    curves = scores(len(counts), copies)
    curves[~np.isfinite(maps).all(axis=(1, 2))] = np.nan
    return curves


def _counts(maps: np.ndarray, steps: int) -> np.ndarray:
    """How many pixels have changed after each step, (steps + 1,)."""
    pixels = int(np.prod(maps.shape[1:]))
    return np.linspace(0, pixels, min(steps, pixels) + 1).round().astype(int)


def _area(curves: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Area under each curve over the share of pixels changed, by trapezoids."""
    counts = _counts(maps, curves.shape[1] - 1)
    return (curves[:, 1:] + curves[:, :-1]) / 2 @ (np.diff(counts) / counts[-1])
