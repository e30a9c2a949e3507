"""The record of an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.training.chance_level import Accuracy


@dataclass(frozen=True)
class ExplanationData:
    """Images with a model's predictions and attribution maps.

    Attributes:
        images: (N, H, W, C) as given.
        probabilities: The predicted class probabilities, (N, classes).
        targets: The class explained for each image, (N,).
        class_names: The classes.
        labels: The true class of each image, (N,); None if unknown.
        maps: Maps (N, H, W) by method.
        quality: Metrics (N,) by method and name; see ``xnas_tf.attribution.metrics``.
        failures: Why a method gave no maps, by its title.
        input_range: The range that the images were scaled to; empty if they were not scaled.
        accuracy: The model's accuracy on the whole test split; None if not measured.
    """

    images: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray
    class_names: Sequence[str]
    labels: np.ndarray | None = None
    maps: dict[AttributionMethod, np.ndarray] = field(default_factory=dict)
    quality: dict[AttributionMethod, dict[str, np.ndarray]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    input_range: str = ""
    accuracy: Accuracy | None = None

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)
