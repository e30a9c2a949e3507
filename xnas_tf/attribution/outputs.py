"""Computes a model's outputs with the same batching and tracing as attribution maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.score import TargetScore
from xnas_tf.keras_tools.preprocessing import exact_model_input


class Outputs(AttributionMethod):
    """Returns all outputs instead of a map: logits or probabilities, (B, classes)."""

    points: ClassVar[int] = 1

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        return score.outputs(images)


PROBABILITIES = Outputs(output="probabilities")


def probabilities_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the class probabilities (N, classes) of images (N, H, W[, C]) in the model's range."""
    return explainer_of(model, PROBABILITIES)(images)


def serving_function(
    model: keras.Model, image_shape: Sequence[int]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the untraced function to include in exports; see ``Explainer.untraced``.

    The function takes uint8 images (B, H, W, C), each of the given shape (H, W, C), and returns
    class probabilities (B, classes).
    """
    probabilities = explainer_of(model, PROBABILITIES).untraced(image_shape)
    return lambda images: probabilities(exact_model_input(images), tf.constant([0]))
