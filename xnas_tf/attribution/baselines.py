"""Baselines: reference images that contain no evidence, against which attributions are measured."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import tensorflow as tf
from scipy.ndimage import gaussian_filter1d

BaselineName = Literal["zero", "mean", "blurred", "noise"]
BLUR = 8
"""Ratio of the image's larger side to the standard deviation of the blur."""


def baseline_of(name: BaselineName, images: tf.Tensor, seed: int = 0) -> tf.Tensor:
    """Return the baseline of each image, with the same shape as the images, (B, H, W[, C]).

    ``zero`` is black, ``mean`` is each channel's mean, ``blurred`` is the image after a Gaussian
    blur, and ``noise`` is uniform between the image's minimum and maximum. The same noise is used
    for every image, so a map does not depend on the other images in its batch. For a comparison of
    baselines, see Sturmfels, Lundberg & Lee 2020 (distill.pub/2020/attribution-baselines).
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
    """Blur images (B, H, W[, C]) with a Gaussian kernel that reflects at the edges."""
    height, width = images.shape[1:3]
    deviation = max(height, width) / BLUR
    by_row = tf.einsum("bhw...,hk->bkw...", images, _blur_matrix(height, deviation))
    return tf.einsum("bhw...,wk->bhk...", by_row, _blur_matrix(width, deviation))


def _blur_matrix(size: int, deviation: float) -> tf.Tensor:
    """Return the weights of a Gaussian blur along one axis, (size, size); columns sum to 1."""
    weights = gaussian_filter1d(
        np.eye(size), deviation, mode="mirror", radius=math.ceil(3 * deviation)
    )
    return tf.constant(weights, tf.float32)
