"""An edge that computes the operation with a given number, and its gradient.

The gradients are implemented here because TensorFlow's gradient of ``tf.switch_case`` passes on the
intermediate values of all branches, and spends time on every operation in the branches that are not
taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.spaces.layers import BATCH_NORM_EPSILON

CONVOLUTIONS = {"nor_conv_1x1": slice(1, 2), "nor_conv_3x3": slice(0, 3)}
"""The part of an edge's 3x3 kernel that each operation uses, in height and in width."""

Tensors = list[tf.Tensor]
Gradient = Callable[..., list[Any]]


def training_edge(operation: tf.Tensor, x: tf.Tensor, before: Tensors, weights: Tensors) -> Tensors:
    """Add an edge's output to its target node in training.

    The target node is passed from edge to edge, so that ``none`` requires no sum.

    Args:
        operation: The operation's number.
        x: The source node, (B, H, W, C).
        before: The previous value of the target node; empty for the node's first edge.
        weights: Kernel, gamma and beta.

    Returns:
        The target node, and the batch's mean and (unbiased) variance, which are arbitrary if the
        operation has no normalisation.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, *inputs: tf.Tensor) -> tuple[Tensors, Gradient]:
        kernel, gamma, beta, *before = inputs
        # Shaped like the values that ``_convolve`` returns in addition to its outputs.
        nothing = [gamma, gamma, x, x, gamma, gamma, gamma]

        def convolve(part: slice) -> Tensors:
            return _convolve(x, kernel[part, part], gamma, beta)

        node, *rest = _switch(operation, _forward(x, before, convolve, nothing))
        statistics, saved = rest[:2], rest[2:]

        def gradient(g: tf.Tensor, *_: tf.Tensor) -> Tensors:
            none = [tf.zeros_like(kernel), tf.zeros_like(gamma), tf.zeros_like(beta)]

            def back(part: slice) -> Tensors:
                return _convolve_back(g, kernel, part, gamma, saved)

            return [*_switch(operation, _backward(g, back, none)), *([g] * len(before))]

        return [node, *statistics], gradient

    return run(x, *weights, *before)


def trained_edge(operation: tf.Tensor, x: tf.Tensor, before: Tensors, weights: Tensors) -> Tensors:
    """Add an edge's output to its target node, with the normalisation folded into its weights.

    See ``training_edge``. The weights are a kernel and a bias, which get no gradients.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
        kernel, bias, *before = inputs

        def convolve(part: slice) -> Tensors:
            outputs = tf.nn.conv2d(tf.nn.relu(x), kernel[part, part], 1, "SAME")
            return [tf.nn.bias_add(outputs, bias)]

        def gradient(g: tf.Tensor) -> list[tf.Tensor | None]:
            def back(part: slice) -> Tensors:
                return [_convolve_input_back(g, kernel[part, part], x)]

            (x_gradient,) = _switch(operation, _backward(g, back, []))
            return [x_gradient, None, None, *([g] * len(before))]

        (node,) = _switch(operation, _forward(x, before, convolve, []))
        return node, gradient

    return [run(x, *weights, *before)]


def _switch(operation: tf.Tensor, branches: dict[str, Callable[[], Tensors]]) -> Tensors:
    outputs = tf.switch_case(operation, [branches[name] for name in OPERATIONS])
    return outputs if isinstance(outputs, list) else [outputs]


def _forward(
    x: tf.Tensor, before: Tensors, convolve: Callable[[slice], Tensors], nothing: Tensors
) -> dict[str, Callable[[], Tensors]]:
    """For each operation, return a function that computes the target node.

    The function returns ``nothing`` after the node if the operation is not a convolution.
    """

    def added(outputs: tf.Tensor, *rest: tf.Tensor) -> Tensors:
        return [before[0] + outputs if before else outputs, *rest]

    def convolved(part: slice) -> Tensors:
        return added(*convolve(part))

    return {
        "none": lambda: [before[0] if before else tf.zeros_like(x), *nothing],
        "skip_connect": lambda: added(x, *nothing),
        "avg_pool_3x3": lambda: added(tf.nn.avg_pool2d(x, 3, 1, "SAME"), *nothing),
        **{name: partial(convolved, part) for name, part in CONVOLUTIONS.items()},
    }


def _backward(
    g: tf.Tensor, back: Callable[[slice], Tensors], nothing: Tensors
) -> dict[str, Callable[[], Tensors]]:
    """For each operation, return a function that computes the gradient of ``x``.

    The function returns ``nothing`` after the gradient if the operation is not a convolution.
    """
    return {
        "none": lambda: [tf.zeros_like(g), *nothing],
        "skip_connect": lambda: [g, *nothing],
        "avg_pool_3x3": lambda: [_average_pool_gradient(g), *nothing],
        **{name: partial(back, part) for name, part in CONVOLUTIONS.items()},
    }


def _average_pool_gradient(g: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.AvgPoolGrad(
        orig_input_shape=tf.shape(g),
        grad=g,
        ksize=[1, 3, 3, 1],
        strides=[1, 1, 1, 1],
        padding="SAME",
    )


def _convolve(x: tf.Tensor, kernel: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> Tensors:
    """Return the outputs, the batch statistics, and the values that the gradient needs."""
    x = tf.nn.relu(x)
    convolved = tf.nn.conv2d(x, kernel, 1, "SAME")
    outputs, mean, variance, *reserved = tf.raw_ops.FusedBatchNormV3(
        x=convolved,
        scale=gamma,
        offset=beta,
        mean=tf.constant([], tf.float32),
        variance=tf.constant([], tf.float32),
        epsilon=BATCH_NORM_EPSILON,
        is_training=True,
    )
    return [outputs, mean, variance, x, convolved, *reserved]


def _convolve_back(
    g: tf.Tensor, kernel: tf.Tensor, part: slice, gamma: tf.Tensor, saved: Tensors
) -> Tensors:
    """Return the gradients of ``x``, the kernel, gamma and beta."""
    x, convolved, *reserved = saved
    g, gamma_gradient, beta_gradient, *_ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=g,
        x=convolved,
        scale=gamma,
        **{f"reserve_space_{i}": each for i, each in enumerate(reserved, 1)},
        epsilon=BATCH_NORM_EPSILON,
        is_training=True,
    )
    kernel = kernel[part, part]
    kernel_gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=tf.shape(kernel), out_backprop=g, strides=[1] * 4, padding="SAME"
    )
    padding = (part.start, part.start)
    kernel_gradient = tf.pad(kernel_gradient, [padding, padding, (0, 0), (0, 0)])
    return [_convolve_input_back(g, kernel, x), kernel_gradient, gamma_gradient, beta_gradient]


def _convolve_input_back(g: tf.Tensor, kernel: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Return the gradient of the input of a relu followed by a convolution.

    ``x`` may be the input or the output of the relu.
    """
    g = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=g, strides=[1] * 4, padding="SAME"
    )
    return tf.raw_ops.ReluGrad(gradients=g, features=x)
