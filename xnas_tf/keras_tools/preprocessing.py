"""Converts stored images to the inputs of models."""

from __future__ import annotations

import tensorflow as tf


def to_model_input(images: tf.Tensor) -> tf.Tensor:
    """Convert uint8 images (B, H, W, C) to float32 in [0, 1]. Exports contain the same step."""
    return tf.cast(images, tf.float32) / 255.0
