"""Faithfulness metrics: completeness, sensitivity-n, infidelity, deletion and insertion.

The first three read a map as contributions to the score, in units of the score and relative to the
baseline. Integrated gradients, gradient times input and occlusion produce maps of this kind.
Deletion and insertion use only the order of the pixels.
"""

from __future__ import annotations

import keras
import numpy as np
from scipy.integrate import trapezoid

from xnas_tf.attribution.baselines import BaselineName
from xnas_tf.attribution.integrated_gradients import IntegratedGradients
from xnas_tf.attribution.metrics.scores import Scores, replaced
from xnas_tf.attribution.metrics.statistics import (
    Errors,
    pearson,
    relative_to_larger,
    with_empty,
)
from xnas_tf.attribution.outputs import PROBABILITIES, Outputs
from xnas_tf.attribution.targets import Output, Targets
from xnas_tf.errors import InputError


def completeness_error(
    model: keras.Model,
    images: np.ndarray,
    targets: Targets = "predicted",
    *,
    method: IntegratedGradients | None = None,
    empty: float | None = None,
) -> Errors:
    """Compute the difference between the sum of integrated gradients and the change in the score.

    |sum of the map - (score(image) - score(baseline))| is 0 for the exact integral
    (Sundararajan et al. 2017, arXiv 1703.01365, proposition 1); the remainder is the error of
    the Riemann sum. The relative error is divided by the larger of the sum and the change; it lies
    in [0, 2], and is 0 where both are 0. ``empty``, if given, replaces it for empty maps.
    """
    method = method or IntegratedGradients()
    scores = Scores(model, images, targets, Outputs(output=method.output))
    baselines = scores.baselines(method.baseline, method.seed)
    changes = scores.unchanged - scores(1, lambda rows: baselines[rows, None])[:, 0]
    maps = method(model, scores.images, scores.targets)
    sums = maps.sum(axis=(1, 2), dtype=np.float64)
    errors = np.abs(sums - changes)
    relative = relative_to_larger(errors, np.abs(sums), np.abs(changes))
    return Errors(errors, with_empty(relative, maps, empty))


def sensitivity_n(  # noqa: PLR0913 - keyword options of one metric
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
    """Correlate attributions with the decrease in the score, over random sets of n pixels.

    See Ancona, Ceolini, Öztireli & Gross 2018 (arXiv 1711.06104). In a good map, the sum over any n
    pixels predicts how much the score decreases when the baseline replaces them. The sets are the
    same for every image, so the result does not depend on the batches. If n equals the number of
    pixels, there is only one set.

    Returns:
        (N,), float64, in [-1, 1]; higher is better. The value is 0 where the sums or the scores
        don't vary: for a constant map, a constant model, or sets of all pixels.
    """
    scores = Scores(model, images, targets, Outputs(output=output), maps)
    height, width = scores.images.shape[1:3]
    if not 1 <= n <= height * width:
        raise InputError(f"n is {n}; allowed: 1 to {height * width}, the number of pixels")
    chosen = np.tile(np.arange(height * width) < n, (subsets, 1))
    masks = rng.permuted(chosen, axis=1).reshape(subsets, height, width)
    # Scores, not decreases: ``pearson`` needs their magnitude to tell changes from rounding.
    return pearson(-_sums(maps, masks), _scores_without(masks, scores, baseline))


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
    """Compute the mean squared difference between attributions and the decrease in the score.

    See Yeh, Hsieh, Suggala, Inouye & Ravikumar 2019 (arXiv 1901.09392, definition 2.1). Here the
    baseline replaces random squares. Since maps already contain the factor (image - baseline), the
    predicted decrease is the map's sum over the square. The side of each square is drawn uniformly
    between 1 and half the image's shorter side. The squares are the same for every image.

    Returns:
        The error in squared score units, and the error relative to the mean square of the predicted
        or the actual decrease, whichever is larger. The relative error lies in [0, 4]: it is 1 for
        a map of zeros, and 0 where both the map and the decrease are 0. Lower is better.
    """
    scores = Scores(model, images, targets, Outputs(output=output), maps)
    height, width = scores.images.shape[1:3]
    masks = _squares(height, width, perturbations, rng)
    decreases = scores.unchanged[:, None] - _scores_without(masks, scores, baseline)
    sums = _sums(maps, masks)
    errors = np.mean((sums - decreases) ** 2, axis=1)
    magnitudes = np.mean(sums**2, axis=1), np.mean(decreases**2, axis=1)
    return Errors(errors, relative_to_larger(errors, *magnitudes))


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


def _sums(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Sum maps (N, H, W) inside masks (k, H, W); return (N, k)."""
    flat = maps.reshape(len(maps), masks[0].size).astype(np.float64)
    return flat @ masks.reshape(len(masks), -1).T.astype(np.float64)


def _scores_without(masks: np.ndarray, scores: Scores, baseline: BaselineName) -> np.ndarray:
    """Return the scores (N, k) of the images with the baseline inside masks (k, H, W)."""
    images, others = scores.images, scores.baselines(baseline)
    return scores(len(masks), lambda rows: replaced(images[rows], others[rows], masks))


def _squares(height: int, width: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw masks (count, H, W) of squares that lie inside the image."""
    sides = rng.integers(1, max(1, min(height, width) // 2), count, endpoint=True)
    inside = []
    for size in (height, width):
        starts = rng.integers(0, size - sides, endpoint=True)[:, None]
        positions = np.arange(size)
        inside.append((positions >= starts) & (positions < starts + sides[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
