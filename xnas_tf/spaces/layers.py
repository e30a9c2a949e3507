"""Layers used by several search spaces."""

from __future__ import annotations

from typing import Any

from keras import layers

BATCH_NORM_MOMENTUM = 0.9
"""As in NAS-Bench-201. With Keras' 0.99, the moving averages do not converge in a short training:
validation accuracies are 0.09-0.75 instead of 0.95-0.96 (docs/contributing/dependencies.md)."""
BATCH_NORM_EPSILON = 1e-5
"""The value of NAS-Bench-201."""


def convolution(x: Any, channels: int, kernel: int, name: str, strides: int = 1) -> Any:
    """Apply a convolution as in NAS-Bench-201: without bias, with He-normal initial weights."""
    return layers.Conv2D(
        channels,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def batch_norm(x: Any, name: str) -> Any:
    """Apply batch normalisation as in NAS-Bench-201."""
    return layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=BATCH_NORM_EPSILON, name=name
    )(x)
