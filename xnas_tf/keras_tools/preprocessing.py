"""Converts stored images to model inputs."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def to_model_input(images: tf.Tensor) -> tf.Tensor:
    """Convert uint8 images (B, H, W, C) to float32 in [0, 1].

    Exported models convert images in the same way.
    """
    return tf.cast(images, tf.float32) / 255.0


def exact_model_input(images: tf.Tensor) -> tf.Tensor:
    """Convert images exactly as ``to_model_input`` does, even in a graph that is optimized later.

    An optimized graph would multiply by 1 / 255 instead of dividing by 255. The last digit of a
    pixel can decide whether a ReLU's input is above or below 0.
    """
    with tf.init_scope():  # outside the graph
        levels = to_model_input(np.arange(256)).numpy()
    return tf.gather(tf.constant(levels), tf.cast(images, tf.int32))
