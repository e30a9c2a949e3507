"""SmoothGrad."""

from __future__ import annotations

from typing import ClassVar

import tensorflow as tf
from pydantic import Field

from xnas_tf.attribution.base import AttributionMethod
from xnas_tf.attribution.gradients import mean_gradient, sum_over_channels
from xnas_tf.attribution.score import TargetScore


class SmoothGrad(AttributionMethod):
    """SmoothGrad (Smilkov et al. 2017, arXiv 1706.03825, section 3).

    A map is the mean gradient of the score over noisy copies of an image, with its absolute values
    summed over channels. The noise is proportional to each image's range, and the same for every
    image, so a map does not depend on the other images in its batch. (tf-explain 0.3.1 uses the
    gradient of the cross-entropy, which vanishes where the model is confident, and unseeded noise.)
    """

    name: ClassVar[str] = "smooth_grad"
    title: ClassVar[str] = "SmoothGrad"
    signed: ClassVar[bool] = False
    samples: int = Field(25, ge=1, description="number of noisy copies of an image")
    noise: float = Field(0.15, ge=0, description="standard deviation, as a fraction of the range")
    seed: int = Field(0, ge=0)

    @property
    def points(self) -> int:
        """See ``AttributionMethod.points``."""
        return self.samples

    def attribute(self, score: TargetScore, images: tf.Tensor) -> tf.Tensor:
        """See ``AttributionMethod.attribute``."""
        axes = list(range(1, images.shape.rank))
        image_range = tf.reduce_max(images, axis=axes) - tf.reduce_min(images, axis=axes)
        deviation = tf.reshape(self.noise * image_range, [-1] + [1] * images.shape.rank)
        noise = tf.random.stateless_normal((self.samples, *images.shape[1:]), (self.seed, 0))

        def points(indices: tf.Tensor) -> tf.Tensor:
            return images[:, None] + deviation * tf.gather(noise, indices)[None]

        batch = self.batch_size_for(images.shape)
        gradient = mean_gradient(score, images, points, self.samples, batch)
        return sum_over_channels(tf.abs(gradient))
