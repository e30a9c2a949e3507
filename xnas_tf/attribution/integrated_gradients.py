"""Integrated gradients."""

from __future__ import annotations

import keras
import tensorflow as tf
from tf_explain.core.integrated_gradients import (
    IntegratedGradients as _TfExplainIntegratedGradients,
)

from xnas_tf.attribution.models import logits_model


class IntegratedGradients:
    """Integrated gradients of the predicted class from a black image (Sundararajan et al.
    2017, arXiv 1703.01365, eq. 1 and 3).

    tf-explain 0.3.1 averages the gradients along the path. Corrected here: the factor
    (x - baseline), without which nothing sums to the change of the score; midpoints instead
    of both ends, which halves the error of the sum; batches may mix predicted classes, and
    no trace is kept for each model and class.

    Args:
        model: A Keras image classifier; its present weights count.
        steps: Points on the path.
    """

    def __init__(self, model: keras.Model, steps: int = 8) -> None:
        self._logits = logits_model(model)
        self._steps = steps

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Maps (B, H, W), signed, summed over channels, for images (B, H, W, C)."""
        predicted = tf.repeat(tf.argmax(self._logits(images), axis=-1), self._steps)
        shares = (tf.range(self._steps, dtype=images.dtype) + 0.5) / self._steps
        path = images[:, None] * shares[None, :, None, None, None]
        average = _TfExplainIntegratedGradients.get_integrated_gradients.python_function
        gradients = average(
            tf.reshape(path, (-1, *images.shape[1:])),
            lambda points: tf.gather(self._logits(points), predicted, axis=1, batch_dims=1)[
                :, None
            ],
            0,
            self._steps,
        )
        return tf.reduce_sum(images * gradients, axis=-1)
