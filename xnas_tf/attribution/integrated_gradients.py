"""Integrated gradients."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf
from pydantic import Field

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.gradients import mean_gradient, over_channels
from xnas_tf.attribution.score import TargetScore


class IntegratedGradients(AttributionMethod):
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, eq. 1 and 3).

    A map's sum is the change of the score from the baseline to the image, up to the error of
    the Riemann sum. tf-explain 0.3.1 averages the gradients along the path. Corrected here:
    the factor (x - baseline); midpoints of the steps instead of both ends, which halves the
    error; baselines other than black.
    """

    name: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "integrated gradients"
    steps: int = Field(32, ge=1, description="points on the path from the baseline")
    baseline: BaselineName = "zero"
    seed: int = Field(0, ge=0, description="of the noise baseline")

    @property
    def points(self) -> int:
        """See ``AttributionMethod.points``."""
        return self.steps

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        baseline = baseline_of(self.baseline, images, self.seed)
        change = images - baseline

        def points(numbers: tf.Tensor) -> tf.Tensor:
            shares = (tf.cast(numbers, tf.float32) + 0.5) / self.steps
            shares = tf.reshape(shares, [1, -1] + [1] * (images.shape.rank - 1))
            return baseline[:, None] + shares * change[:, None]

        batch = self.at_a_time(images.shape)
        return over_channels(change * mean_gradient(score, images, points, self.steps, batch))
