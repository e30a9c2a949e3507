"""An edge that does the operation that a number says, and the gradient of that.

The gradients are written down: TensorFlow's own of a choice hands all that any branch might need
from the choice to the gradient's, and each dead branch costs time for each of its operations.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import tensorflow as tf

from xnas_tf.keras_tools.average_pooling import average_pool_3x3_gradient
from xnas_tf.spaces.cells import OPERATIONS
from xnas_tf.spaces.layers import BATCH_NORM_EPSILON

CONVOLUTIONS = {"nor_conv_1x1": slice(1, 2), "nor_conv_3x3": slice(0, 3)}
"""Which part of an edge's 3x3 kernel is that of an operation, in height and in width."""

Tensors = list[tf.Tensor]


def training_edge(operation: tf.Tensor, x: tf.Tensor, before: Tensors, weights: Tensors) -> Tensors:
    """Adds an edge's outputs to its target node in training.

    A target node is handed on from edge to edge, so that ``none`` costs no sum.

    Args:
        operation: Its number.
        x: The source node, (B, H, W, C).
        before: The target node as it was before, if there was anything.
        weights: Kernel, gamma and beta.

    Returns:
        The target node, and the batch's mean and (unbiased) variance; anything of their shape
        if the operation has no normalisation.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, *given: tf.Tensor) -> tuple[Tensors, Callable]:
        kernel, gamma, beta, *before = given
        # Shaped like what ``_convolve`` returns beside its outputs.
        nothing = [gamma, gamma, x, x, gamma, gamma, gamma]

        def convolve(part: slice) -> Tensors:
            return _convolve(x, kernel[part, part], gamma, beta)

        node, *found = _chosen(operation, _forward(x, before, convolve, nothing))
        statistics, saved = found[:2], found[2:]

        def gradient(g: tf.Tensor, *_: tf.Tensor) -> Tensors:
            none = [tf.zeros_like(kernel), tf.zeros_like(gamma), tf.zeros_like(beta)]

            def back(part: slice) -> Tensors:
                return _convolve_back(g, kernel, part, gamma, saved)

            return [*_chosen(operation, _backward(g, back, none)), *([g] * len(before))]

        return [node, *statistics], gradient

    return run(x, *weights, *before)


def trained_edge(operation: tf.Tensor, x: tf.Tensor, before: Tensors, weights: Tensors) -> Tensors:
    """Adds an edge's outputs to its target node, with the normalisation folded into its weights.

    Args:
        operation: See ``training_edge``.
        x: See ``training_edge``.
        before: See ``training_edge``.
        weights: Kernel and bias; they get no gradients.

    Returns:
        The target node.
    """

    @tf.custom_gradient
    def run(x: tf.Tensor, *given: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        kernel, bias, *before = given

        def convolve(part: slice) -> Tensors:
            outputs = tf.nn.conv2d(tf.nn.relu(x), kernel[part, part], 1, "SAME")
            return [tf.nn.bias_add(outputs, bias)]

        def gradient(g: tf.Tensor) -> list[tf.Tensor | None]:
            def back(part: slice) -> Tensors:
                return [_convolve_input_back(g, kernel[part, part], x)]

            (of_x,) = _chosen(operation, _backward(g, back, []))
            return [of_x, None, None, *([g] * len(before))]

        (node,) = _chosen(operation, _forward(x, before, convolve, []))
        return node, gradient

    return [run(x, *weights, *before)]


def _chosen(operation: tf.Tensor, branches: dict[str, Callable[[], Tensors]]) -> Tensors:
    found = tf.switch_case(operation, [branches[name] for name in OPERATIONS])
    return found if isinstance(found, list) else [found]


def _forward(
    x: tf.Tensor, before: Tensors, convolve: Callable[[slice], Tensors], nothing: Tensors
) -> dict[str, Callable[[], Tensors]]:
    """The target node by operation; ``nothing`` follows if it is no convolution."""

    def into(outputs: tf.Tensor, *rest: tf.Tensor) -> Tensors:
        return [before[0] + outputs if before else outputs, *rest]

    def convolved(part: slice) -> Tensors:
        return into(*convolve(part))

    return {
        "none": lambda: [before[0] if before else tf.zeros_like(x), *nothing],
        "skip_connect": lambda: into(x, *nothing),
        "avg_pool_3x3": lambda: into(tf.nn.avg_pool2d(x, 3, 1, "SAME"), *nothing),
        **{name: partial(convolved, part) for name, part in CONVOLUTIONS.items()},
    }


def _backward(
    g: tf.Tensor, back: Callable[[slice], Tensors], nothing: Tensors
) -> dict[str, Callable[[], Tensors]]:
    """The gradient of ``x`` by operation; ``nothing`` follows if it is no convolution."""
    return {
        "none": lambda: [tf.zeros_like(g), *nothing],
        "skip_connect": lambda: [g, *nothing],
        "avg_pool_3x3": lambda: [average_pool_3x3_gradient(g), *nothing],
        **{name: partial(back, part) for name, part in CONVOLUTIONS.items()},
    }


def _convolve(x: tf.Tensor, kernel: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> Tensors:
    """Outputs, batch statistics, and what the gradient needs."""
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
    """The gradients of ``x``, the kernel, gamma and beta."""
    x, convolved, *reserved = saved
    g, of_gamma, of_beta, *_ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=g,
        x=convolved,
        scale=gamma,
        **{f"reserve_space_{i}": each for i, each in enumerate(reserved, 1)},
        epsilon=BATCH_NORM_EPSILON,
        is_training=True,
    )
    kernel = kernel[part, part]
    of_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=x, filter_sizes=tf.shape(kernel), out_backprop=g, strides=[1] * 4, padding="SAME"
    )
    around = (part.start, part.start)
    of_kernel = tf.pad(of_kernel, [around, around, (0, 0), (0, 0)])
    return [_convolve_input_back(g, kernel, x), of_kernel, of_gamma, of_beta]


def _convolve_input_back(g: tf.Tensor, kernel: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Through a convolution and the relu before it, of which ``x`` may be input or output."""
    g = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(x), filter=kernel, out_backprop=g, strides=[1] * 4, padding="SAME"
    )
    return tf.raw_ops.ReluGrad(gradients=g, features=x)
