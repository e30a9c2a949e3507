"""Average pooling of 3x3 pixels whose gradient is quick for few channels too."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

FEW_CHANNELS = 16
"""oneDNN has no vectorised gradient for fewer channels. Of 48 images of 28x28 pixels and 8
channels it took 2.9 ms on one core and 1.7 ms on two, as it is computed here 0.6 and 0.8 ms; of
14x14 pixels and 16 channels 0.33 and 0.42 ms, which here would be 0.37 and 0.60 ms. GPUs, which
have other kernels, keep TensorFlow's."""


def average_pool_3x3(x: tf.Tensor) -> tf.Tensor:
    """Mean over 3x3 pixels around each, of those inside, (B, H, W, C); its gradients agree with
    those of ``tf.nn.avg_pool2d`` to rounding."""
    if x.shape[-1] >= FEW_CHANNELS:
        return tf.nn.avg_pool2d(x, 3, 1, "SAME")
    return _with_quick_gradient(x)


@tf.custom_gradient
def _with_quick_gradient(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    return tf.nn.avg_pool2d(x, 3, 1, "SAME"), _of_few_channels


def average_pool_3x3_gradient(gradient: tf.Tensor) -> tf.Tensor:
    """The gradient that comes out of ``average_pool_3x3``, of any number of channels."""
    is_few = tf.shape(gradient)[-1] < FEW_CHANNELS
    return tf.cond(is_few, lambda: _of_few_channels(gradient), lambda: _usual(gradient))


def _of_few_channels(gradient: tf.Tensor) -> tf.Tensor:
    """Each pixel's share, summed by a convolution with ones."""
    shape = tf.shape(gradient)
    inside = _sums(tf.ones([1, shape[1], shape[2], 1], gradient.dtype), 1)
    # Where TensorFlow knows a divisor it makes a product, with other last digits.
    inside = tf.raw_ops.PlaceholderWithDefault(input=inside, shape=inside.shape)
    return _sums(gradient / inside, shape[-1])


def _sums(x: tf.Tensor, channels: tf.Tensor | int) -> tf.Tensor:
    ones = tf.ones([3, 3, channels, 1], x.dtype)
    return tf.nn.depthwise_conv2d(x, ones, [1, 1, 1, 1], "SAME")


def _usual(gradient: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.AvgPoolGrad(
        orig_input_shape=tf.shape(gradient),
        grad=gradient,
        ksize=[1, 3, 3, 1],
        strides=[1, 1, 1, 1],
        padding="SAME",
    )
