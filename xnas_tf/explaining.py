"""Explaining what a model sees in images, with several methods at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import keras
import numpy as np

from xnas_tf.attribution import ATTRIBUTIONS
from xnas_tf.attribution.base import AttributionMethod, Targets
from xnas_tf.data.preprocessing import to_model_input
from xnas_tf.errors import InputError
from xnas_tf.evaluation.prediction import Predictor

DEFAULT_METHODS = ("grad_cam", "integrated_gradients")


@dataclass(frozen=True)
class Explanation:
    """Images with what a model sees in them.

    Attributes:
        images: (N, H, W, C), uint8.
        probabilities: The model's, (N, classes).
        targets: The class explained for each image, (N,).
        labels: The true class of each image, (N,), where it is known.
        maps: Maps (N, H, W) by method.
        failures: Why a method gave none, by its title.
    """

    images: np.ndarray
    probabilities: np.ndarray
    targets: np.ndarray
    labels: np.ndarray | None = None
    maps: dict[AttributionMethod, np.ndarray] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return self.probabilities.argmax(axis=1)


def explain(
    model: keras.Model,
    images: np.ndarray,
    methods: Sequence[str | AttributionMethod] = DEFAULT_METHODS,
    targets: Targets = "predicted",
    labels: np.ndarray | None = None,
) -> Explanation:
    """Explains a model's output on images, with each method that applies to this model.

    Args:
        model: A Keras image classifier that takes images as floats in [0, 1].
        images: uint8 images (N, H, W, C).
        methods: Names, or methods with options.
        targets: ``"predicted"``, a class number, or one for each image, (N,).
        labels: The true class of each image, (N,), where it is known.

    Raises:
        InputError: If a name is unknown, or no method applies.
    """
    chosen = [ATTRIBUTIONS.get(m)() if isinstance(m, str) else m for m in methods]
    probabilities = Predictor(model)(images)
    if isinstance(targets, str) and targets == "predicted":
        targets = probabilities.argmax(axis=1)
    found = Explanation(images, probabilities, np.broadcast_to(targets, len(images)), labels)
    inputs = to_model_input(images).numpy()
    for method in chosen:
        try:
            found.maps[method] = method(model, inputs, targets)
        except InputError as error:
            found.failures[method.title] = str(error)
    if not found.maps:
        raise InputError("; ".join(f"{name}: {why}" for name, why in found.failures.items()))
    return found
