"""Chooses images for comparing class means, and resamples them to estimate errors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from xnas_tf.data.dataset import index_in_class
from xnas_tf.objectives.class_gram import ClassSums

if TYPE_CHECKING:
    from xnas_tf.distributed import Communicator

STEP = 0.05
"""Standard deviation of the weights. It is small, so that values are approximately linear in the
weights. Where classes hardly differ, a bootstrap, with a standard deviation of 1, varies the
squared noise three times as much as new images would; these weights vary it twice as much."""
LARGEST_ERROR = 1.0
"""Largest possible standard deviation of a value from 0 to 2. Estimates exceed it if class means
nearly vanish, because a distance is then far from linear in the images. The interval from
this value is wider than the range, so figures do not draw it."""
_thread_pools = cache(ThreadpoolController)
"""Created only once, because finding the loaded libraries takes 5 ms."""


def balanced_choice(groups: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted indices of up to ``count`` images, balanced over their classes (N,).

    Class means are compared in pairs, so an additional image helps most in the smallest class. The
    classes take turns to contribute their next image, in the random order of the images.
    """
    return np.sort(np.argsort(index_in_class(groups), kind="stable")[:count])


def resampling_weights(groups: np.ndarray, count: int) -> np.ndarray:
    """Draw random image weights close to 1, (count, N); every call draws the same weights.

    The resampling is a bootstrap with small steps (the infinitesimal jackknife, Jaeckel 1972; Efron
    1982). The weighted mean of a class with at least two images varies by ``STEP`` times the
    standard error of the mean, and no class ever has a weight of 0. ``groups`` (N,) are the images'
    classes, in an order that doesn't depend on the ranks.
    """
    sizes = np.bincount(groups)[groups] if len(groups) else np.zeros(0)
    spread = np.sqrt(sizes / np.maximum(sizes - 1, 1))
    normal = np.random.default_rng(0).normal(size=(count, len(groups)))
    return 1 + STEP * spread * normal


def standard_error(values: np.ndarray) -> float:
    """Return a value's standard error, at most 1, from its values for resamples, (resamples,)."""
    return min(float(np.std(values, ddof=1) / STEP), LARGEST_ERROR)


def resampled_sums(
    rows: Sequence[np.ndarray],
    members: np.ndarray,
    resamples: np.ndarray,
    communicator: Communicator,
) -> list[ClassSums]:
    """Compute the sums of resampled images in each layer, (resamples, ...), over all ranks.

    Squared norms are weighted by squared weights. Unbiased estimates exclude the products of an
    image with itself, so they remain unbiased for resamples. ``rows`` are this rank's
    representations in each layer, (N, d); ``members`` (N, classes) is 1 for an image's class unless
    it is missing; ``resamples`` (resamples, N) are the images' weights.
    """
    inside = members.T > 0
    weights, squared = communicator.sum(resamples @ members, resamples**2 @ members)
    layers = []
    # In small products, the threads of BLAS mostly wait for each other, especially if they compete
    # with TensorFlow's (4 s instead of 0.1 s for 36 layers and 5,000 images).
    with _thread_pools().limit(limits=1, user_api="blas"):
        for each in rows:  # one layer at a time, because all need gigabytes
            layer = each.astype(np.float64)  # the standard error divides by a small step
            sums = [resamples[:, own] @ layer[own] for own in inside]
            squared_norms = np.square(layer).sum(axis=1)
            total, squares = communicator.sum(
                np.stack(sums, axis=1), resamples**2 @ (members * squared_norms[:, None])
            )
            products = total @ total.transpose(0, 2, 1)
            layers.append(ClassSums(products, squares, weights, squared))
    return layers
