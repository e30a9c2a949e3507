"""Inner products of class means from streamed sums, without the upward bias of small samples.

A class mean over n images has a square length that is on average s²/n too large, where s² is
the variance within the class, summed over dimensions; inner products of different classes' means
are right on average. The unbiased square length is the mean inner product of two different images,
(|Σx|² - Σ|x|²) / (n (n - 1)) = |mean|² - s²/n: a U-statistic (Hoeffding 1948), which needs no
more than the sum of the images' square lengths beside their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Normalize = Literal["none", "layer"]
Estimator = Literal["unbiased", "plain"]
MEASURABLE = 0.25
"""Share of a class mean's square length that must remain without its noise for the mean to have
a direction. Of noise around zero about nothing remains, in D dimensions that vary independently
0 ± √(2/D): dividing by it would give any distance. In simulations (ten classes, 12 images each)
such noise then scores less than 0.01 from 50 dimensions on, and means of which half is noise
lose less than 0.03 of 1."""


@dataclass(frozen=True)
class ClassSums:
    """Sums over the images of each class in one layer, each image times its weight.

    Leading dimensions, such as one of resamples, are allowed everywhere.

    Attributes:
        products: Inner products of the weighted sums, (..., classes, classes).
        squares: Sums of square lengths times the square weights, (..., classes).
        weights: Sums of the weights, (..., classes): the images if each weighs 1; 0 for a
            class that doesn't count.
        square_weights: Sums of the square weights, (..., classes).
    """

    products: np.ndarray
    squares: np.ndarray
    weights: np.ndarray
    square_weights: np.ndarray

    def means(self) -> np.ndarray:
        """Inner products of the class means, (..., classes, classes)."""
        scale = np.divide(1.0, self.weights, out=np.zeros(self.weights.shape), where=self._counts)
        return self.products * scale[..., :, None] * scale[..., None, :]

    def unbiased_squares(self) -> np.ndarray:
        """Square lengths of the class means without their noise, (..., classes)."""
        pairs = self.weights**2 - self.square_weights
        between = _diagonal(self.products) - self.squares
        return np.divide(
            between, pairs, out=np.zeros(pairs.shape), where=self._counts & (pairs > 0)
        )

    @property
    def _counts(self) -> np.ndarray:
        return self.weights > 0


def mean_gram(
    layers: Sequence[ClassSums], normalize: Normalize, estimator: Estimator
) -> np.ndarray:
    """Inner products of the class means of a representation made of layers.

    Args:
        layers: The layers' sums.
        normalize: ``layer`` scales each layer so that the square lengths of its class means sum
            to 1, and drops one that is all noise; ``none`` leaves them, so that large layers
            dominate the concatenation.
        estimator: ``unbiased`` takes the noise off the square lengths, the diagonal; ``plain``
            leaves it, as the XNAS paper does.

    Returns:
        (..., classes, classes). The diagonal is 0 for a class whose mean has no direction: it
        is zero, or by ``unbiased`` less than ``MEASURABLE`` of it is more than noise.
    """
    gram = squares = np.zeros(())
    for layer in layers:
        products = layer.means()
        own = _diagonal(products) if estimator == "plain" else layer.unbiased_squares()
        if normalize == "layer":
            size, whole = own.sum(axis=-1), _diagonal(products).sum(axis=-1)
            scale = np.divide(1.0, size, out=np.zeros(size.shape), where=_is_clear(size, whole))
            products, own = products * scale[..., None, None], own * scale[..., None]
        gram, squares = gram + products, squares + own
    gram = np.array(gram)
    at = np.arange(gram.shape[-1])
    gram[..., at, at] = np.where(_is_clear(squares, _diagonal(gram)), squares, 0)
    return gram


def _is_clear(squares: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """Whether enough of a square length remains without its noise; NaN is passed on."""
    return np.isnan(squares) | ((squares > 0) & (squares >= MEASURABLE * plain))


def _diagonal(gram: np.ndarray) -> np.ndarray:
    return np.diagonal(gram, axis1=-2, axis2=-1)
