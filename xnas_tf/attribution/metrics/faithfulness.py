"""Sensitivity-n and infidelity: attributions against what random removals do to the score.

Maps are taken as contributions, in the score's units: what a pixel adds to the score
against the baseline, as integrated gradients, gradient times input and occlusion give it.
"""

from __future__ import annotations

import keras
import numpy as np

from xnas_tf.attribution.baselines import BaselineName
from xnas_tf.attribution.metrics.scores import (
    Output,
    Scores,
    baselines_of,
    checked_images,
    replaced,
)
from xnas_tf.attribution.metrics.statistics import Errors, pearson, share_of_larger
from xnas_tf.attribution.outputs import Outputs
from xnas_tf.attribution.targets import Targets
from xnas_tf.errors import InputError


def sensitivity_n(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    n: int,
    rng: np.random.Generator,
    subsets: int = 64,
    baseline: BaselineName = "zero",
    output: Output = "logits",
) -> np.ndarray:
    """Correlation of attributions with the score's fall, over random sets of n pixels.

    Ancona, Ceolini, Öztireli & Gross 2018 (arXiv 1711.06104): a map is as good as
    the sum over any n pixels agrees with how far the score falls when the baseline replaces
    them. The sets are the same for every image, so that a value doesn't depend on its batch.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        maps: (N, H, W).
        targets: See ``Targets``, without ``"all"``.
        n: Pixels in a set; a correlation needs less than all of them.
        rng: Draws the sets.
        subsets: Number of sets.
        baseline: What replaces the pixels.
        output: The score that the maps explain.

    Returns:
        (N,), float64, in [-1, 1]; more is better. 0 where the map's sums or the scores don't
        vary: a constant map, a constant model, or all pixels at once.

    Raises:
        InputError: If images, maps or targets don't fit, or n is no number of pixels.
    """
    images = checked_images(images, maps)
    height, width = images.shape[1:3]
    if not 1 <= n <= height * width:
        raise InputError(f"n is {n}; allowed: 1 to {height * width}, the number of pixels")
    chosen = np.tile(np.arange(height * width) < n, (subsets, 1))
    masks = rng.permuted(chosen, axis=1).reshape(subsets, height, width)
    scores = Scores(model, images, targets, Outputs(output=output))
    # The remaining score, not its fall: its size tells rounding from change.
    return pearson(-_sums(maps, masks), _remaining(scores, images, masks, baseline))


def infidelity(
    model: keras.Model,
    images: np.ndarray,
    maps: np.ndarray,
    targets: Targets = "predicted",
    *,
    rng: np.random.Generator,
    perturbations: int = 64,
    baseline: BaselineName = "zero",
    output: Output = "logits",
) -> Errors:
    """Mean squared difference of attributions and the score's fall, over random squares.

    Yeh, Hsieh, Suggala, Inouye & Ravikumar 2019 (arXiv 1901.09392, definition 2.1), with
    squares that the baseline replaces. A map that already has the factor
    (image - baseline) gives the change that a square makes as its sum over the square. Sides
    are uniform from 1 to half of the image's smaller side; the squares are the same for every
    image.

    Args:
        model: A Keras classifier.
        images: (N, H, W[, C]), floats in the model's range.
        maps: (N, H, W).
        targets: See ``Targets``, without ``"all"``.
        rng: Draws the squares.
        perturbations: Number of squares.
        baseline: What replaces the pixels.
        output: The score that the maps explain.

    Returns:
        The error in squared units of the score, and as a share of the larger of the two mean
        squares that are compared, in [0, 4]: 1 for a map of zeros; 0 where neither the map nor
        the model has any effect. Less is better.

    Raises:
        InputError: If images, maps or targets don't fit.
    """
    images = checked_images(images, maps)
    masks = _squares(*images.shape[1:3], perturbations, rng)
    scores = Scores(model, images, targets, Outputs(output=output))
    falls = scores.unchanged[:, None] - _remaining(scores, images, masks, baseline)
    sums = _sums(maps, masks)
    errors = np.mean((sums - falls) ** 2, axis=1)
    sizes = np.mean(sums**2, axis=1), np.mean(falls**2, axis=1)
    return Errors(errors, share_of_larger(errors, *sizes))


def _sums(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Sums (N, k) of maps (N, H, W) inside masks (k, H, W)."""
    flat = maps.reshape(len(maps), masks[0].size).astype(np.float64)
    return flat @ masks.reshape(len(masks), -1).T.astype(np.float64)


def _remaining(
    scores: Scores, images: np.ndarray, masks: np.ndarray, baseline: BaselineName
) -> np.ndarray:
    """Scores (N, k) of the images with the baseline inside masks (k, H, W)."""
    others = baselines_of(baseline, images)
    return scores(len(masks), lambda rows: replaced(images[rows], others[rows], masks))


def _squares(height: int, width: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Masks (count, H, W) of squares, all of them inside the image."""
    sides = rng.integers(1, max(1, min(height, width) // 2), count, endpoint=True)
    inside = []
    for size in (height, width):
        starts = rng.integers(0, size - sides, endpoint=True)[:, None]
        positions = np.arange(size)
        inside.append((positions >= starts) & (positions < starts + sides[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
