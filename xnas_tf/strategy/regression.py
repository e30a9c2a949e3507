"""Regression on network features, with an estimate of the uncertainty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import special, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

POWERS = np.linspace(0, 1, 6)
"""Range of powers, from the logarithm to the identity. Smaller powers would compress large values
so much that no value better than the best known one could be predicted."""


class Regression:
    """A Gaussian process (Matérn 3/2 and noise) on values transformed to be nearly normal.

    Values such as errors have a long tail of bad values, but only the differences between good
    values matter. Each value's distance to the best value, in units of the median distance, is
    therefore transformed with the power between 0 and 1 (Yeo & Johnson 2000) that makes a normal
    distribution most likely.
    """

    def __init__(self) -> None:
        self._kernel: Kernel | None = None

    def tune(self, features: np.ndarray, values: np.ndarray) -> None:
        """Find the kernel's length scale, variance and noise by maximum likelihood."""
        start = ConstantKernel(1, (1e-2, 1e2)) * Matern(3, (0.3, 100), nu=1.5)
        with warnings.catch_warnings():
            # A parameter may be at its bound if the values hardly differ.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process = GaussianProcessRegressor(start + WhiteKernel(0.05, (1e-4, 1)))
            process.fit(features, _Transform.of(values).apply(values))
        self._kernel = process.kernel_

    def fit(self, features: np.ndarray, values: np.ndarray) -> None:
        """Fit to features (N, features) with values (N,), lower is better; call ``tune`` first."""
        self._transform = _Transform.of(values)
        self._process = GaussianProcessRegressor(self._kernel, optimizer=None)
        self._process.fit(features, self._transform.apply(values))

    def predict(self, features: np.ndarray, deviations: float = 0.0) -> np.ndarray:
        """Predict values (N,) from features, minus ``deviations`` standard deviations."""
        mean, deviation = self._process.predict(features, return_std=True)
        return self._transform.invert(mean - deviations * deviation)


@dataclass(frozen=True)
class _Transform:
    """A monotonic map from values to nearly normal ones with mean 0 and variance 1."""

    best: float
    unit: float
    power: float
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: np.ndarray) -> _Transform:
        best = values.min()
        unit = np.median(values) - best or values.max() - best or 1.0
        distances = (values - best) / unit
        likelihoods = [stats.yeojohnson_llf(power, distances) for power in POWERS]
        power = float(POWERS[int(np.argmax(likelihoods))]) if distances.any() else 1.0
        transformed = stats.yeojohnson(distances, power)
        return cls(best, unit, power, transformed.mean(), transformed.std() or 1.0)

    def apply(self, values: np.ndarray) -> np.ndarray:
        transformed = stats.yeojohnson((values - self.best) / self.unit, self.power)
        return (transformed - self.mean) / self.deviation

    def invert(self, transformed: np.ndarray) -> np.ndarray:
        """Apply the inverse of Yeo & Johnson's map, including to values below the best.

        For x >= 0, the map is Box and Cox's map of 1 + x; for x < 0, it is the negative of their
        map of 1 - x with the power 2 - power.
        """
        mapped = transformed * self.deviation + self.mean
        above = special.inv_boxcox(np.maximum(mapped, 0), self.power) - 1
        below = 1 - special.inv_boxcox(np.maximum(-mapped, 0), 2 - self.power)
        return np.where(mapped >= 0, above, below) * self.unit + self.best
