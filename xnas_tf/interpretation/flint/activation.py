"""Activation maximisation with partial initialisation (arXiv 2010.09345, section 4.2).

Starting from a dimmed sample, an image is changed to increase the value of one attribute. The
objective is C log φ_j − λ_bound · (excess beyond the range) − λ_tv · (total variation). The paper
maximises φ_j itself, so its weights suit only attributes of similar magnitude. With attributes
learned on mnist5k, whose values reach 15, C = 2 filled the images with stripes.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.interpretation.flint.interpreter import InterpretedModel
from xnas_tf.utils.heartbeat import report_progress

STAGES, STEPS, RATE = 12, 50, 0.05
"""Options of Adam, as published; the learning rate is halved after each stage."""


class Maximisation(NamedTuple):
    """Options for changing images."""

    dim: float  # factor by which the samples are dimmed initially
    gain: float  # C, the weight of the attribute's logarithm
    bound: float  # λ_bound, the weight of values outside [0, 1]
    variation: float  # λ_tv, the weight of the total variation


GREY = Maximisation(dim=0.3, gain=0.5, bound=10.0, variation=6.0)
"""The published values for grey images, except for C."""
COLOUR = Maximisation(dim=0.4, gain=2.0, bound=20.0, variation=20.0)
"""The published values for CIFAR-10."""


def maximize_activation(
    model: InterpretedModel, images: np.ndarray, attributes: np.ndarray
) -> np.ndarray:
    """Change each uint8 image (N, H, W, C) so that the attribute given for it, (N,), increases."""
    if not len(images):
        return images
    how = GREY if images.shape[-1] == 1 else COLOUR
    wanted = tf.one_hot(attributes, model.settings.attributes)
    changed = keras.Variable(how.dim * images.astype(np.float32) / 255)
    halving = keras.optimizers.schedules.ExponentialDecay(RATE, STEPS, 0.5, staircase=True)
    optimizer = keras.optimizers.Adam(halving)
    optimizer.build([changed])

    @tf.function(autograph=False)
    def step() -> None:
        with tf.GradientTape() as tape:
            values = tf.convert_to_tensor(changed.value)
            tape.watch(values)
            loss = -objective(model, values, wanted, how)
        optimizer.apply([tape.gradient(loss, values)], [changed])

    for _ in range(STAGES * STEPS):
        step()
        report_progress()
    return np.rint(np.clip(changed.numpy(), 0, 1) * 255).astype(np.uint8)


def objective(
    model: InterpretedModel, images: tf.Tensor, wanted: tf.Tensor, how: Maximisation
) -> tf.Tensor:
    """Compute the objective, summed over images (B, H, W, C).

    ``wanted`` (B, J) is the one-hot encoding of the attribute to maximise for each image.
    """
    activations = tf.reduce_sum(model.look(images).attributes * wanted, axis=1)
    gain = tf.reduce_sum(tf.math.log(activations + 1e-3))  # some attributes are 0
    excess = tf.maximum(images - 1, 0) + tf.maximum(-images, 0)
    outside = tf.reduce_sum(tf.reduce_mean(excess, axis=(1, 2, 3)))
    return how.gain * gain - how.bound * outside - how.variation * _variation(images)


def _variation(images: tf.Tensor) -> tf.Tensor:
    """Compute the mean absolute difference between neighbouring pixels, summed over the images."""
    down = tf.abs(images[:, 1:] - images[:, :-1])
    across = tf.abs(images[:, :, 1:] - images[:, :, :-1])
    means = tf.reduce_mean(down, axis=(1, 2, 3)) + tf.reduce_mean(across, axis=(1, 2, 3))
    return tf.reduce_sum(means)
