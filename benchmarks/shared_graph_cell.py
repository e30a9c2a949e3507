"""A cell whose edges hold all operations and do those that numbers say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from xnas_tf.spaces.cells import EDGES, NODES, OPERATIONS
from xnas_tf.spaces.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM

CONVOLUTIONS = {"nor_conv_1x1": slice(1, 2), "nor_conv_3x3": slice(0, 3)}
"""Which part of an edge's 3x3 kernel is that of an operation, in height and in width."""

_functions: WeakKeyDictionary[Any, dict[Any, Callable]] = WeakKeyDictionary()
"""By the graph that is being traced. A function that was traced for one edge serves others of the
same shape in that graph, and its gradient too. It must not serve another graph: what it registers
as its gradient is forgotten with ``forgotten_custom_gradients``."""


class SharedCell(keras.layers.Layer):
    """All cells of NAS-Bench-201; in float32, channels last.

    Only one operation of an edge runs in a network, so an edge has one kernel and one
    normalisation, and those of all edges are one variable: an optimizer works on as many
    variables as for a small network.

    Args:
        channels: Channels of its input and output.
        operations: Numbers of the operations in ``OPERATIONS``, int32 (edges,).
        name: The cell's name in the network.
    """

    def __init__(self, channels: int, operations: tf.Variable, name: str) -> None:
        super().__init__(name=name)
        self._channels = channels
        self._operations = operations

    def build(self, _: Any) -> None:
        """Makes the weights; their values are those of the networks that are put in."""
        rows = (len(EDGES), self._channels)
        add = self.add_weight
        self.kernels = add(shape=(len(EDGES), 3, 3, *rows[1:], *rows[1:]), name="kernels")
        self.norm = [
            add(shape=rows, initializer="ones", name="gamma"),
            add(shape=rows, initializer="zeros", name="beta"),
            add(shape=rows, initializer="zeros", name="mean", trainable=False),
            add(shape=rows, initializer="ones", name="variance", trainable=False),
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Runs the cell; in training it updates the moving statistics."""
        if isinstance(inputs, keras.KerasTensor):
            return inputs
        variables = (self._operations, self.kernels, *self.norm)
        weights = zip(*(tf.unstack(tf.convert_to_tensor(v)) for v in variables), strict=True)
        nodes: list[Any] = [inputs, *[None] * (NODES - 1)]
        statistics = []
        for (source, target), given in zip(EDGES.values(), weights, strict=True):
            # A node is handed on from edge to edge: gradients are summed inside the operations,
            # and an edge with ``none`` costs no sum, neither way.
            before = [] if nodes[target] is None else [nodes[target]]
            run = _function(bool(training), bool(before))
            nodes[target], nodes[source], *found = run(*before, nodes[source], *given)
            statistics.append(found)
        if training:
            for moving, values in zip(self.norm[2:], zip(*statistics, strict=True), strict=True):
                moving.assign(tf.stack(values))
        return nodes[-1]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The input's."""
        return input_shape


def _function(training: bool, adds: bool) -> Callable:
    run = partial(_edge, training, adds)
    if tf.executing_eagerly():
        return run
    known = _functions.setdefault(tf.compat.v1.get_default_graph(), {})
    return known.setdefault((training, adds), tf.function(run, autograph=False))


def _edge(training: bool, adds: bool, *given: tf.Tensor) -> list[tf.Tensor]:
    """The target node after the edge, the source node, and in training the moving statistics."""
    before = given[0] if adds else None
    x, operation, kernel, *norm = given[adds:]
    held = [tf.stop_gradient(v) for v in norm[2:]] if training else []

    def into(outputs: tf.Tensor) -> tf.Tensor:
        return outputs if before is None else before + outputs

    def convolved(part: slice) -> list[tf.Tensor]:
        convolve = _train if training else _infer
        outputs, *found = convolve(tf.nn.relu(x), kernel[part, part], norm)
        return [into(outputs), x, *found]

    branches: dict[str, Callable[[], list[tf.Tensor]]] = {
        "none": lambda: [tf.zeros_like(x) if before is None else before, x, *held],
        "skip_connect": lambda: [into(x), x, *held],
        "avg_pool_3x3": lambda: [into(tf.nn.avg_pool2d(x, 3, 1, "SAME")), x, *held],
        **{name: partial(convolved, part) for name, part in CONVOLUTIONS.items()},
    }
    return tf.switch_case(operation, [branches[name] for name in OPERATIONS])


def _train(x: tf.Tensor, kernel: tf.Tensor, norm: list[tf.Tensor]) -> list[tf.Tensor]:
    gamma, beta, *held = norm
    y = tf.nn.conv2d(x, kernel, 1, "SAME")
    y, *found = tf.raw_ops.FusedBatchNormV3(
        x=y,
        scale=gamma,
        offset=beta,
        mean=tf.constant([], tf.float32),
        variance=tf.constant([], tf.float32),
        epsilon=BATCH_NORM_EPSILON,
        is_training=True,
    )[:3]
    count = tf.cast(tf.size(y) / tf.shape(y)[-1], tf.float32)
    found[1] *= (count - 1) / count  # the operation's is unbiased, Keras' is not
    share = 1 - BATCH_NORM_MOMENTUM
    pairs = zip(held, found, strict=True)
    return [y, *(tf.stop_gradient(h * BATCH_NORM_MOMENTUM + f * share) for h, f in pairs)]


def _infer(x: tf.Tensor, kernel: tf.Tensor, norm: list[tf.Tensor]) -> list[tf.Tensor]:
    """With the normalisation folded into the kernel."""
    gamma, beta, mean, variance = norm
    scale = tf.math.rsqrt(variance + BATCH_NORM_EPSILON) * gamma
    return [tf.nn.bias_add(tf.nn.conv2d(x, kernel * scale, 1, "SAME"), beta - mean * scale)]
