"""Gradient times input."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.gradients import mean_gradient, sum_over_channels
from xnas_tf.attribution.score import TargetScore


class GradientInput(AttributionMethod):
    """Gradient times input (Shrikumar et al. 2016, arXiv 1605.01713, section 3).

    For a linear model, the maps equal those of integrated gradients with a black baseline.
    """

    name: ClassVar[str] = "gradient_input"
    title: ClassVar[str] = "gradient × input"
    points: ClassVar[int] = 1

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        batch = self.batch_size_for(images.shape)
        gradient = mean_gradient(score, images, lambda _: images[:, None], 1, batch)
        return sum_over_channels(images * gradient)
