"""Baselines: reference images without evidence, to which attributions are relative."""

from __future__ import annotations

from typing import Literal

import numpy as np
import tensorflow as tf

BaselineName = Literal["zero", "mean", "blurred", "noise"]
BLUR = 8
"""The image's larger side divided by the standard deviation of the blur."""


def baseline_of(name: BaselineName, images: tf.Tensor, seed: int = 0) -> tf.Tensor:
    """Return the baseline of each image, with the shape of the images.

    Sturmfels, Lundberg & Lee 2020 (distill.pub/2020/attribution-baselines) compare baselines.

    Args:
        name: ``zero`` is black, ``mean`` is each channel's mean, ``blurred`` is the image after a
            Gaussian blur, ``noise`` is uniform between the image's minimum and maximum. The
            noise is the same for every image, so that a map doesn't depend on its batch.
        images: (B, H, W[, C]).
        seed: Seed of the noise.
    """
    if name == "zero":
        return tf.zeros_like(images)
    if name == "mean":
        return tf.zeros_like(images) + tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    if name == "blurred":
        return blurred(images)
    axes = list(range(1, images.shape.rank))
    low = tf.reduce_min(images, axis=axes, keepdims=True)
    high = tf.reduce_max(images, axis=axes, keepdims=True)
    return low + (high - low) * tf.random.stateless_uniform(tf.shape(images)[1:], (seed, 0))


def blurred(images: tf.Tensor) -> tf.Tensor:
    """Blur images (B, H, W[, C]) by a Gaussian, with reflection at the edges."""
    flat = images if images.shape.rank == 4 else images[..., None]
    height, width = flat.shape[1:3]
    for size, axis in ((height, 1), (width, 2)):
        flat = tf.einsum(
            "bhwc,hk->bkwc" if axis == 1 else "bhwc,wk->bhkc",
            flat,
            tf.constant(_blur_matrix(size, max(height, width) / BLUR)),
        )
    return flat if images.shape.rank == 4 else flat[..., 0]


def _blur_matrix(size: int, deviation: float) -> np.ndarray:
    """Return weights (size, size) of a Gaussian blur along one axis; columns sum to 1."""
    radius = int(np.ceil(3 * deviation))
    weights = np.zeros((size, size), np.float32)
    for offset in range(-radius, radius + 1):
        source = np.abs(np.arange(size) + offset) % max(1, 2 * size - 2)
        source = np.minimum(source, 2 * size - 2 - source) if size > 1 else source * 0
        np.add.at(weights, (source, np.arange(size)), np.exp(-0.5 * (offset / deviation) ** 2))
    return weights / weights.sum(axis=0)
