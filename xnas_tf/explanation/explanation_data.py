"""What an explanation consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.training.accuracy import Accuracy


@dataclass(frozen=True)
class ExplanationData:
    """Images with what a model sees in them.

    Attributes:
        images: (N, H, W, C) as given.
        probabilities: The model's, (N, classes).
        targets: The class explained for each image, (N,).
        class_names: The classes.
        labels: The true class of each image, (N,), where it is known.
        maps: Maps (N, H, W) by method.
        quality: Figures (N,) by method and name; see ``xnas_tf.attribution.metrics``.
        failures: Why a method gave none, by its title.
        input_range: The values that the model was given; empty if they were given as they are.
        accuracy: How often the model is right about the whole test part, where that was measured.
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
