"""Chooses images for comparing class means, and resamples them to estimate errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from xnas_tf.data.dataset import index_in_class
from xnas_tf.objectives.class_gram import ClassSums
from xnas_tf.utils.heartbeat import report_progress

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
BLOCK_BYTES = 2**30
"""Memory for the resamples that are computed together. With 1,000 classes, all 100 of them would
need 800 MB for each layer and each step of the computation."""
LARGE_PRODUCT = 10**9
"""Multiplications in a product of matrices from which several threads are faster than one."""
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
) -> Iterator[list[ClassSums]]:
    """Yield the sums of resampled images in each layer, (resamples, ...), over all ranks.

    The resamples are divided into as many blocks as their memory requires.

    Squared norms are weighted by squared weights. Unbiased estimates exclude the products of an
    image with itself, so they remain unbiased for resamples. ``rows`` are this rank's
    representations in each layer, (N, d); ``members`` (N, classes) is 1 for an image's class unless
    it is missing; ``resamples`` (resamples, N) are the images' weights.
    """
    classes, width = members.shape[1], max(each.shape[1] for each in rows)
    # Numbers for each resample: the products of all layers, the sums of one layer, and what is
    # computed from the products. They are the same on all ranks, which sum every block together.
    numbers = classes * (classes * (len(rows) + 6) + 2 * width)
    size = max(1, BLOCK_BYTES // (8 * numbers))
    by_class = [np.flatnonzero(each) for each in members.T]
    layers = []
    for each in rows:
        exact = each.astype(np.float64, copy=False)  # the standard error divides by a small step
        layers.append((exact, np.square(exact).sum(axis=1)))
    for start in range(0, len(resamples), size):
        if start:
            report_progress()
        block = resamples[start : start + size]
        # Not in a variable, which would keep the sums while those of the next block are computed.
        yield _block_sums(layers, members, by_class, block, communicator)


def _block_sums(
    layers: Sequence[tuple[np.ndarray, np.ndarray]],
    members: np.ndarray,
    by_class: Sequence[np.ndarray],
    resamples: np.ndarray,
    communicator: Communicator,
) -> list[ClassSums]:
    """Return the sums of a block of resamples in each layer; see ``resampled_sums``.

    A layer is given by its representations (N, d) and their squared norms (N,). ``by_class`` has
    the indices of each class's images.
    """
    width = max(layer.shape[1] for layer, _ in layers)
    # In small products, the threads of BLAS mostly wait for each other, especially if they compete
    # with TensorFlow's (4 s instead of 0.1 s for 36 layers and 5,000 images).
    threads = 1 if members.shape[1] ** 2 * width < LARGE_PRODUCT else None
    squared_weights = resamples**2
    with _thread_pools().limit(limits=threads, user_api="blas"):
        weights, squared = communicator.sum(resamples @ members, squared_weights @ members)
        found = []
        for layer, squared_norms in layers:
            sums = np.stack([resamples[:, own] @ layer[own] for own in by_class], axis=1)
            # Not squared_weights @ (squared_norms[:, None] * members): with many classes, that
            # array needs as much memory as a layer, or more.
            total, squares = communicator.sum(sums, (squared_weights * squared_norms) @ members)
            products = total @ total.transpose(0, 2, 1)
            found.append(ClassSums(products, squares, weights, squared))
    return found
