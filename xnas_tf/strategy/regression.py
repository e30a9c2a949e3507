"""Predicts one figure of networks from their features, with how uncertain that is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import special, stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

POWERS = np.linspace(0, 1, 6)
"""From logarithms to the figures themselves. Smaller powers would bend what is bad so much that
nothing better than the best could be predicted."""


class Regression:
    """A Gaussian process (Matérn 3/2 and noise) on a figure that is bent to be more normal.

    Figures such as errors have a long tail of what is bad, and that of what is good is what
    matters. So they are measured from the best in units of the median's distance to it, and
    then raised to the power (Yeo & Johnson 2000) between 0 and 1 under which they are most
    likely normal.
    """

    def __init__(self) -> None:
        self._kernel: Kernel | None = None

    def tune(self, features: np.ndarray, figures: np.ndarray) -> None:
        """Finds length scale, variance and noise by maximum likelihood.

        Args:
            features: (N, features).
            figures: (N,); less is better.
        """
        start = ConstantKernel(1, (1e-2, 1e2)) * Matern(3, (0.3, 100), nu=1.5)
        with warnings.catch_warnings():
            # A parameter at its bound is what it should be where figures hardly differ.
            warnings.simplefilter("ignore", ConvergenceWarning)
            process = GaussianProcessRegressor(start + WhiteKernel(0.05, (1e-4, 1)))
            process.fit(features, _Scale.of(figures).bend(figures))
        self._kernel = process.kernel_

    def fit(self, features: np.ndarray, figures: np.ndarray) -> None:
        """Learns figures; what ``tune`` found stays as it is."""
        self._scale = _Scale.of(figures)
        self._process = GaussianProcessRegressor(self._kernel, optimizer=None)
        self._process.fit(features, self._scale.bend(figures))

    def predict(self, features: np.ndarray, deviations: float = 0.0) -> np.ndarray:
        """Predicts figures (N,) of features (N, features), less so many standard deviations."""
        mean, deviation = self._process.predict(features, return_std=True)
        return self._scale.unbend(mean - deviations * deviation)


@dataclass(frozen=True)
class _Scale:
    """A monotonic map of figures to nearly normal ones of mean 0 and variance 1."""

    best: float
    unit: float
    power: float
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, figures: np.ndarray) -> _Scale:
        best = figures.min()
        unit = np.median(figures) - best or figures.max() - best or 1.0
        distances = (figures - best) / unit
        likelihoods = [stats.yeojohnson_llf(power, distances) for power in POWERS]
        power = float(POWERS[int(np.argmax(likelihoods))]) if distances.any() else 1.0
        bent = stats.yeojohnson(distances, power)
        return cls(best, unit, power, bent.mean(), bent.std() or 1.0)

    def bend(self, figures: np.ndarray) -> np.ndarray:
        bent = stats.yeojohnson((figures - self.best) / self.unit, self.power)
        return (bent - self.mean) / self.deviation

    def unbend(self, bent: np.ndarray) -> np.ndarray:
        """The inverse; below the best it goes on with the mirrored map, as Yeo & Johnson do."""
        distances = _inverse(bent * self.deviation + self.mean, self.power)
        return distances * self.unit + self.best


def _inverse(bent: np.ndarray, power: float) -> np.ndarray:
    """Of Yeo & Johnson's map for a power in [0, 1]: Box and Cox's of 1 + x, and below 0 that of
    1 - x with the power 2 - power, turned round."""
    above = special.inv_boxcox(np.maximum(bent, 0), power) - 1
    below = 1 - special.inv_boxcox(np.maximum(-bent, 0), 2 - power)
    return np.where(bent >= 0, above, below)
