"""Computes inner products of class means from sums, without the upward bias of small samples.

On average, the squared norm of a class mean over n images is too large by s²/n, where s² is the
variance within the class, summed over dimensions. Inner products between different classes' means
are unbiased. The unbiased squared norm is the mean inner product of two different images, (|Σx|² -
Σ|x|²) / (n (n - 1)) = |mean|² - s²/n. This U-statistic (Hoeffding 1948) needs only the sum of the
images and the sum of their squared norms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Normalize = Literal["none", "layer"]
Estimator = Literal["unbiased", "plain"]
MIN_SIGNAL = 0.25
"""Share of a class mean's squared norm that must remain after the noise is subtracted for the mean
to have a direction. For pure noise in D independent dimensions, the share is 0 ± √(2/D). In
simulations with ten classes of 12 images each, pure noise scores less than 0.01 from 50 dimensions
on, and means that are half noise lose less than 0.03 of a score of 1."""


@dataclass(frozen=True)
class ClassSums:
    """Weighted sums over each class's images in one layer.

    All arrays may have leading dimensions, for instance for resamples.

    Attributes:
        products: Inner products of the weighted sums, (..., classes, classes).
        squares: Sums of squared norms times squared weights, (..., classes).
        weights: Sums of the weights, (..., classes). With weights of 1, a sum is the number of
            images; for an excluded class, it is 0.
        square_weights: Sums of the squared weights, (..., classes).
    """

    products: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    square_weights: np.ndarray

    def means(self) -> np.ndarray:
        """Return the inner products of the class means, (..., classes, classes)."""
        scale = _divided(1.0, self.weights, self.weights > 0)
        return self.products * scale[..., :, None] * scale[..., None, :]

    def unbiased_squares(self) -> np.ndarray:
        """Return the unbiased squared norms of the class means, (..., classes)."""
        pairs = self.weights**2 - self.square_weights
        between = _diagonal(self.products) - self.squares
        return _divided(between, pairs, (self.weights > 0) & (pairs > 0))


def mean_gram(
    layers: Sequence[ClassSums], normalize: Normalize, estimator: Estimator
) -> np.ndarray:
    """Compute the inner products of class means over the concatenated layers.

    With ``normalize: layer``, each layer is scaled so that the squared norms of its class means sum
    to 1, and layers of pure noise are dropped. With ``none``, large layers dominate. The
    ``unbiased`` estimator subtracts the noise from the squared norms on the diagonal; ``plain``
    doesn't, as in the XNAS paper.

    Returns:
        (..., classes, classes). The diagonal is 0 for class means without direction. These are
        means equal to zero and, with ``unbiased``, means whose noise-free share is less than
        ``MIN_SIGNAL``.
    """
    gram: np.ndarray = np.zeros(())
    squares: np.ndarray = np.zeros(())
    for layer in layers:
        products = layer.means()
        own = _diagonal(products) if estimator == "plain" else layer.unbiased_squares()
        if normalize == "layer":
            size, plain = own.sum(axis=-1), _diagonal(products).sum(axis=-1)
            scale = _divided(1.0, size, _has_signal(size, plain))
            products, own = products * scale[..., None, None], own * scale[..., None]
        gram, squares = gram + products, squares + own
    gram = np.array(gram)
    diagonal = np.arange(gram.shape[-1])
    gram[..., diagonal, diagonal] = np.where(_has_signal(squares, _diagonal(gram)), squares, 0)
    return gram


def _has_signal(squares: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Return whether enough of a squared norm remains after removing the noise; True for NaN."""
    return np.isnan(squares) | ((squares > 0) & (squares >= MIN_SIGNAL * plain))


def _divided(value: np.ndarray | float, divisor: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Divide where a condition holds; return 0 elsewhere."""
    return np.divide(value, divisor, out=np.zeros(divisor.shape), where=where)


def _diagonal(gram: np.ndarray) -> np.ndarray:
    return np.diagonal(gram, axis1=-2, axis2=-1)
