"""How much distances of class means vary with the images: resampling that streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from xnas_tf.objectives.class_gram import ClassSums, Estimator, Normalize, mean_gram

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator


STEP = 0.05
"""How far weights vary around 1. Small, so that values vary as a linear function of them: where
classes differ by little more than noise, weights that vary by 1, as a bootstrap's do, vary the
square of the noise three times as much as new images would; these twice."""


def resampling_weights(groups: np.ndarray, count: int) -> np.ndarray:
    """Random weights of images, around 1: the bootstrap with small steps (the infinitesimal
    jackknife, Jaeckel 1972; Efron 1982).

    A weighted mean of a class varies by ``STEP`` times the standard error of the mean, whatever
    the number of images above 1, and no class is ever without weight.

    Args:
        groups: The class of each image, (N,), in an order that doesn't depend on the ranks.
        count: Resamples.

    Returns:
        Weights of mean 1, (count, N), the same every time.
    """
    sizes = np.bincount(groups)[groups] if len(groups) else np.zeros(0)
    spread = np.sqrt(sizes / np.maximum(sizes - 1, 1))
    normal = np.random.default_rng(0).normal(size=(count, len(groups)))
    return 1 + STEP * spread * normal


def standard_error(values: np.ndarray) -> float:
    """That of a value, from what it is with each resample's weights, (resamples,)."""
    return float(np.std(values, ddof=1) / STEP)


def resampled_grams(
    rows: Sequence[np.ndarray],
    members: np.ndarray,
    resamples: np.ndarray,
    communicator: Communicator,
    normalize: Normalize,
    estimator: Estimator,
) -> np.ndarray:
    """Inner products of the class means on resampled images.

    An image is not compared with itself by ``unbiased``: its square length is taken off with its
    square weight, so that the resampled values are right on average as the value is.

    Args:
        rows: This rank's representations, a layer each, (N, d).
        members: 1 where an image is of a class that counts, (N, classes).
        resamples: Each resample's weights of the images, (resamples, N).
        communicator: The ranks; each adds its own images.
        normalize: See ``mean_gram``.
        estimator: See ``mean_gram``.

    Returns:
        (resamples, classes, classes).
    """
    inside = members.T > 0
    times = [resamples[:, own].astype(np.float64) for own in inside]
    weights, squared = communicator.sum(resamples @ members, resamples**2 @ members)
    layers = []
    # Small products: BLAS' own threads wait for each other longer than they work, above all
    # beside TensorFlow's (4 s instead of 0.1 s for 36 layers and 5,000 images).
    with _libraries().limit(limits=1, user_api="blas"):
        for each in rows:  # a layer at a time: all at once would fill gigabytes
            layer = each.astype(np.float64)  # the standard error divides by a small step
            sums = [taken @ layer[own] for taken, own in zip(times, inside, strict=True)]
            lengths = np.square(layer).sum(axis=1, dtype=np.float64)
            total, squares = communicator.sum(
                np.stack(sums, axis=1),
                resamples**2 @ (members * lengths[:, None]),
            )
            products = total @ total.transpose(0, 2, 1)
            layers.append(ClassSums(products, squares, weights, squared))
    return mean_gram(layers, normalize, estimator)


@cache
def _libraries() -> ThreadpoolController:
    """Looking for those that the process has loaded, NumPy's BLAS among them, takes 5 ms."""
    return ThreadpoolController()
