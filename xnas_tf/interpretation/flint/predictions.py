"""Metrics of a predictor's and an interpreter's predictions (arXiv 2010.09345, section 4).

All metrics are defined: if an image activates no attribute, every attribute's relevance is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

TAUS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
"""Thresholds 1/τ at which the paper measures conciseness."""
TAU = TAUS[-1]
"""The τ that is used where a single value is reported."""


@dataclass(frozen=True)
class InterpreterPredictions:
    """Predictions for N images, with their metrics.

    Attributes:
        labels: The true classes, (N,).
        predictor: The classes predicted by f, (N,).
        interpreter: The classes predicted by g, (N,).
        ranks: The rank of f's class in g's logits, from 0, (N,).
        attributes: Φ, (N, J).
        weights: W of g, (J, classes).
    """

    labels: np.ndarray
    predictor: np.ndarray
    interpreter: np.ndarray
    ranks: np.ndarray
    attributes: np.ndarray
    weights: np.ndarray

    @property
    def accuracies(self) -> tuple[float, float]:
        """The accuracies of f and g."""
        return (
            float((self.predictor == self.labels).mean()),
            float((self.interpreter == self.labels).mean()),
        )

    @property
    def agrees(self) -> np.ndarray:
        """Whether f and g predict the same class, (N,)."""
        return self.predictor == self.interpreter

    def fidelity(self, top: int = 1) -> float | None:
        """Compute the share of images for which f's class is among g's ``top`` classes.

        The result is None if there are at most ``top`` classes.
        """
        return float((self.ranks < top).mean()) if top < self.weights.shape[1] else None

    def contributions(self, classes: np.ndarray) -> np.ndarray:
        """Compute α = φ_j(x) · w_{j,c}, the attributes' contributions to the logit of class c."""
        return self.attributes * self.weights[:, classes].T

    @cached_property
    def relevance(self) -> np.ndarray:
        """r_{j,x} = α_j / max_i |α_i| for the classes predicted by g, (N, J), in [-1, 1].

        The relevance is 0 where all contributions are 0. The published code divides by the signed
        maximum, which reverses all signs if no contribution is positive.
        """
        alpha = self.contributions(self.interpreter)
        largest = np.abs(alpha).max(axis=1, keepdims=True)
        return np.divide(alpha, largest, out=np.zeros_like(alpha), where=largest > 0)

    @cached_property
    def class_relevance(self) -> np.ndarray:
        """r_{j,c}, the mean of r_{j,x} over the images that g assigns to class c, (classes, J).

        Rows for classes that g never predicts are NaN.
        """
        means = np.full(self.weights.T.shape, np.nan)
        for number in np.unique(self.interpreter):
            means[number] = self.relevance[self.interpreter == number].mean(axis=0)
        return means

    def is_relevant(self, tau: float) -> np.ndarray:
        """Return whether each attribute is relevant to each image: r_{j,x} > 1/τ, (N, J)."""
        return self.relevance > 1 / tau

    def use(self, tau: float) -> np.ndarray:
        """Compute the share of images to which each attribute is relevant, (J,)."""
        return self.is_relevant(tau).mean(axis=0)

    def conciseness(self, tau: float) -> float:
        """Compute CNS(τ), the mean number of attributes relevant to an image."""
        return float(self.is_relevant(tau).sum(axis=1).mean())

    def strict_conciseness(self, tau: float) -> float:
        """Compute a variant of CNS(τ) that penalises images whose predictions are not explained.

        If no attribute is relevant to an image, or g and f predict different classes, the
        prediction is not explained, and all J attributes count for that image. Attributes that are
        always 0 therefore get the worst score.
        """
        counts = self.is_relevant(tau).sum(axis=1)
        return float(np.where((counts > 0) & self.agrees, counts, len(self.weights)).mean())

    @property
    def unexplained(self) -> float:
        """The share of images for which no attribute contributes to the predicted class."""
        return float((self.relevance.max(axis=1) <= 0).mean())

    def as_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON values."""
        predictor, interpreter = self.accuracies
        use = self.use(TAU)
        return {
            "accuracy": {"f": predictor, "g": interpreter},
            "fidelity": {"top1": self.fidelity(), "top5": self.fidelity(5)},
            "conciseness": {f"{tau:g}": self.conciseness(tau) for tau in TAUS},
            "strict_conciseness": self.strict_conciseness(TAU),
            "unexplained": self.unexplained,
            "attribute_use": use.tolist(),
            "unused_attributes": int((use == 0).sum()),
            "attribute_means": self.attributes.mean(axis=0).tolist(),
        }
