"""Keras' layers computed in a quicker way while a training step is traced.

Keras 3 composes batch normalisation of nine operations. A training step of the quickstart's
network was 1.39 times as fast on two cores with ``FusedBatchNormV3`` (benchmarks/training_step.py).
The gradient of average pooling is slow for few channels (average_pooling.py). The results agree to
rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.keras_tools.average_pooling import average_pool_3x3


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
        variance *= biased(inputs)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs


class _QuickAveragePooling(keras.layers.AveragePooling2D):
    """Ordinary average pooling with a quicker gradient; has no state of its own."""

    def call(self, inputs):
        """Averages over 3x3 pixels around each."""
        return average_pool_3x3(inputs)


@contextmanager
def quick_layers(model: keras.Model) -> Iterator[None]:
    """Inside, layers of the model are traced in a quicker way where they can be.

    They stay ordinary Keras layers: only what is traced meanwhile differs.
    """
    changed = [(layer, quick) for layer in _all_layers(model) if (quick := _quick(layer))]
    for layer, quick in changed:
        object.__setattr__(layer, "__class__", quick)
    try:
        yield
    finally:
        for layer, quick in changed:
            object.__setattr__(layer, "__class__", quick.__base__)


def biased(inputs: tf.Tensor) -> np.float32 | tf.Tensor:
    """What makes the variances of ``FusedBatchNormV3``, which are unbiased, those of Keras.

    Args:
        inputs: What was normalised, (B, H, W, channels); of known shape it takes no operations.
    """
    values = inputs.shape[:-1].num_elements()
    count = np.float32(values) if values else tf.cast(tf.size(inputs[..., 0]), tf.float32)
    return (count - 1) / count


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _quick(layer: keras.layers.Layer) -> type | None:
    """The class that computes a layer more quickly, if there is one."""
    if type(layer) is keras.layers.BatchNormalization and _can_be_fused(layer):
        return _FusedBatchNormalization
    if type(layer) is keras.layers.AveragePooling2D and _is_around_each(layer):
        return _QuickAveragePooling
    return None


def _can_be_fused(layer: keras.layers.BatchNormalization) -> bool:
    return (
        layer.scale
        and layer.center
        and not getattr(layer, "renorm", False)
        and layer.compute_dtype in ("float32", "bfloat16")
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
    )


def _is_around_each(layer: keras.layers.AveragePooling2D) -> bool:
    return (
        (layer.pool_size, layer.strides) == ((3, 3), (1, 1))
        and layer.padding == "same"
        and layer.data_format == "channels_last"
        and layer.compute_dtype == "float32"
        and not tf.config.list_physical_devices("GPU")
    )
