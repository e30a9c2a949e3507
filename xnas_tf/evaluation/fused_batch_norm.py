"""Batch normalisation as one TensorFlow operation while a training step is traced.

Keras 3 composes it of nine operations. A training step of the quickstart's network was 1.39
times as fast on two cores with ``FusedBatchNormV3`` (benchmarks/training_step.py); the results
agree to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf


class _FusedBatchNormalization(keras.layers.BatchNormalization):
    """Ordinary batch normalisation, computed at once; has no state of its own."""

    def call(self, inputs, training=None, mask=None):
        """Normalises with the batch's statistics and updates the moving ones."""
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.cast(self.gamma, tf.float32),  # as bfloat16 where layers compute in it
            offset=tf.cast(self.beta, tf.float32),
            mean=tf.constant([], tf.float32),
            variance=tf.constant([], tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
        variance *= (count - 1) / count  # the operation's is unbiased, Keras' is not
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


@contextmanager
def fused_batch_norm(model: keras.Model) -> Iterator[None]:
    """Inside, the model's batch normalisation is traced as one operation where it can be.

    The layers stay ordinary Keras layers: only what is traced meanwhile differs.
    """
    changed = [layer for layer in _all_layers(model) if _can_be_fused(layer)]
    for layer in changed:
        object.__setattr__(layer, "__class__", _FusedBatchNormalization)
    try:
        yield
    finally:
        for layer in changed:
            object.__setattr__(layer, "__class__", keras.layers.BatchNormalization)


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _can_be_fused(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.scale
        and layer.center
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype in ("float32", "bfloat16")
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
    )
