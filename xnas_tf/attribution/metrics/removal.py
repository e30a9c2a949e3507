"""Deletion and insertion: how the probability changes as important pixels are removed or added."""

from __future__ import annotations

import keras
import numpy as np
from scipy.integrate import trapezoid

from xnas_tf.attribution.baselines import BaselineName
from xnas_tf.attribution.metrics.scores import Scores, replaced
from xnas_tf.attribution.outputs import PROBABILITIES
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

    The curve shows the probability of the target class as the baseline replaces more and more
    pixels, starting with the most important ones. The curve falls quickly if the map ranks the
    pixels well (RISE, Petsiuk, Das & Saenko 2018, arXiv 1806.07421). See ``replacement_curves``.
    """
    scores = Scores(model, images, targets, PROBABILITIES, maps)
    others = scores.baselines(baseline)
    return trapezoid(*replacement_curves(scores, scores.images, others, maps, steps))


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

    The curve shows the probability of the target class as pixels of the image replace the baseline,
    starting with the most important ones. Petsiuk, Das & Saenko 2018 (RISE, arXiv 1806.07421) start
    from a blurred image, because sharp edges on black would themselves be evidence. See
    ``replacement_curves``.
    """
    scores = Scores(model, images, targets, PROBABILITIES, maps)
    others = scores.baselines(baseline)
    return trapezoid(*replacement_curves(scores, others, scores.images, maps, steps))


def replacement_curves(
    scores: Scores, before: np.ndarray, after: np.ndarray, maps: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute scores as one image's pixels replace another's, starting with the most important.

    Pixels with equal values change row by row. All channels of a pixel change together. Every step
    changes the same number of pixels, and there are at most as many steps as pixels.

    Returns:
        The scores, (N, steps + 1), float64, with a row of NaN for each non-finite map, and the
        share of changed pixels, (steps + 1,).

    Raises:
        InputError: If ``steps`` is less than 1.
    """
    if steps < 1:
        raise InputError(f"given {steps} steps; allowed: at least 1")
    pixels = int(np.prod(maps.shape[1:]))
    counts = np.linspace(0, pixels, min(steps, pixels) + 1).round().astype(int)
    order = np.argsort(-maps.reshape(len(maps), pixels), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1).reshape(maps.shape)

    def copies(rows: slice) -> np.ndarray:
        changed = ranks[rows, None] < counts[:, None, None]
        return replaced(before[rows], after[rows], changed)

    curves = scores(len(counts), copies)
    curves[~np.isfinite(maps).all(axis=(1, 2))] = np.nan
    return curves, counts / pixels
