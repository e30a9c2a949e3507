"""Traces batch normalisation in a training step as one TensorFlow operation.

Keras 3 composes it from nine operations. With ``FusedBatchNormV3``, a training step of the
quickstart's network was 1.39 times as fast on two cores (benchmarks/training_step.py). The
supernet's cells use the same operation, so their values match those of a network built for a single
cell. Results match Keras up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.keras_tools.inspection import all_layers


class _FusedBatchNormalization(keras.layers.BatchNormalization):
    """Ordinary batch normalisation as a single operation, without state of its own."""

    def call(
        self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalise with the batch's statistics, and update the moving averages."""
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),  # bfloat16 where layers compute in it
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        variance *= biased(inputs)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


@contextmanager
def fused_layers(model: keras.Model) -> Iterator[None]:
    """Trace the model's batch normalisations with ``FusedBatchNormV3`` where possible.

    The layers remain ordinary Keras layers; only graphs traced inside the context differ.
    """
    fused = [
        layer
        for layer in all_layers(model)
        if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer)
    ]
    for layer in fused:
        object.__setattr__(layer, "__class__", _FusedBatchNormalization)
    try:
        yield
    finally:
        for layer in fused:
            object.__setattr__(layer, "__class__", keras.layers.BatchNormalization)


def biased(inputs: tf.Tensor) -> np.float32 | tf.Tensor:
    """Return the factor that turns ``FusedBatchNormV3``'s unbiased variances into Keras' variances.

    It is a constant if the shape of the inputs (B, H, W, channels) is known.
    """
    values = inputs.shape[:-1].num_elements()
    count = np.float32(values) if values else tf.cast(tf.size(inputs[..., 0]), tf.float32)
    return (count - 1) / count


def _can_be_fused(layer: keras.layers.BatchNormalization) -> bool:
    return (
        layer.scale
        and layer.center
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype in ("float32", "bfloat16")
        and getattr(layer.input_spec, "ndim", None) == 4  # None until it is built
        and layer.axis in (-1, 3)
    )
