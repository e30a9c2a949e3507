"""Integrated gradients."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf
from pydantic import Field

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.baselines import BaselineName, baseline_of
from xnas_tf.attribution.gradients import mean_gradient, sum_over_channels
from xnas_tf.attribution.score import TargetScore


class IntegratedGradients(AttributionMethod):
    """Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365, eq. 1 and 3).

    The sum of a map is the change in the score from the baseline to the image, up to the error
    of the Riemann sum. tf-explain 0.3.1 averages the gradients along the path. This class adds the
    factor (x - baseline), other baselines than black, and gradients at the midpoints of the steps
    rather than at both ends, which halves the error.
    """

    name: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "integrated gradients"
    steps: int = Field(32, ge=1, description="number of points on the path from the baseline")
    baseline: BaselineName = "zero"
    seed: int = Field(0, ge=0, description="seed of the noise baseline")

    @property
    def points(self) -> int:
        """See ``AttributionMethod.points``."""
        return self.steps

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        baseline = baseline_of(self.baseline, images, self.seed)
        change = images - baseline

        def points(indices: tf.Tensor) -> tf.Tensor:
            positions = (tf.cast(indices, tf.float32) + 0.5) / self.steps
            positions = tf.reshape(positions, [1, -1] + [1] * (images.shape.rank - 1))
            return baseline[:, None] + positions * change[:, None]

        batch = self.batch_size_for(images.shape)
        return sum_over_channels(change * mean_gradient(score, images, points, self.steps, batch))
