"""From stored images to what models see."""

from __future__ import annotations

import tensorflow as tf


def to_model_input(images: tf.Tensor) -> tf.Tensor:
    """uint8 images (B, H, W, C) as float32 in [0, 1]; exports carry the same step inside."""
    return tf.cast(images, tf.float32) / 255.0
