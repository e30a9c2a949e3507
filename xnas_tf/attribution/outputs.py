"""A model's outputs, batched and traced as attribution maps are."""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.explainer import explainer_of
from xnas_tf.attribution.score import TargetScore


class Outputs(AttributionMethod):
    """All outputs, (B, classes), in place of a map: the logits, or what the model returns."""

    name: ClassVar[str] = "outputs"
    title: ClassVar[str] = "outputs"

    @property
    def points(self) -> int:
        """See ``AttributionMethod.points``."""
        return 1

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        return score.outputs(images)


class Probabilities(Outputs):
    """Class probabilities, (B, classes), of models that end in logits too."""

    name: ClassVar[str] = "probabilities"
    title: ClassVar[str] = "probabilities"

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        return score.probabilities(images)


def probabilities_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities (N, classes) for images (N, H, W[, C]) in the model's range."""
    return explainer_of(model, Probabilities(output="probabilities"))(images)
