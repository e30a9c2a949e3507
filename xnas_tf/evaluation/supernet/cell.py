"""A Keras layer that computes any NAS-Bench-201 cell, as chosen by a variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from xnas_tf.evaluation.supernet.edge import CONVOLUTIONS, trained_edge, training_edge
from xnas_tf.evaluation.supernet.gradient_order import FULL_ORDERS, aliases, number_of
from xnas_tf.keras_tools.fused_layers import biased
from xnas_tf.spaces.cells import EDGES, NODES, OPERATIONS, plain
from xnas_tf.spaces.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM

_functions: WeakKeyDictionary[Any, dict[Any, Callable[..., Any]]] = WeakKeyDictionary()
"""Traced functions, by the graph that is being traced. A function and its gradient are traced for
one edge and reused for all other edges in that graph. The functions must not be used in another
graph, because ``freed_custom_gradients`` removes the gradient that the function has registered."""


def numbers_of(cell: Mapping[str, str]) -> list[int]:
    """Encode a cell as 11 numbers.

    The numbers are the operation of each edge (6), whether each node is the cell's input itself
    (4), and the order in which the input's gradients are summed.
    """
    operation_of = plain(cell)
    operations = [OPERATIONS.index(operation_of[edge]) for edge in EDGES]
    return [*operations, *map(int, aliases(cell)), number_of(cell)]


class SupernetCell(keras.layers.Layer):
    """A layer that computes any cell of NAS-Bench-201, in float32 with channels last.

    Only one operation of an edge is computed at a time, so an edge has one kernel and one batch
    normalisation. The weights of all edges are stacked in one variable, so that the optimizer has
    only a few variables: the kernels, (edges, 3, 3, channels, channels), and ``norm``, which is
    gamma, beta, moving mean and moving variance, each (edges, channels).

    ``numbers`` is the cell to compute, int32, (11,); see ``numbers_of``.
    """

    def __init__(self, channels: int, numbers: tf.Variable, name: str) -> None:
        super().__init__(name=name)
        self._channels = channels
        self._numbers = numbers
        self.kernels: keras.Variable
        self.norm: list[keras.Variable]

    def build(self, _: Any) -> None:
        """Create the weights; their values are loaded from the candidates' models."""
        edges, channels = len(EDGES), self._channels
        shape, add_weight = (edges, channels), self.add_weight
        self.kernels = add_weight(shape=(edges, 3, 3, channels, channels), name="kernels")
        self.norm = [
            add_weight(shape=shape, initializer="ones", name="gamma"),
            add_weight(shape=shape, initializer="zeros", name="beta"),
            add_weight(shape=shape, initializer="zeros", name="mean", trainable=False),
            add_weight(shape=shape, initializer="ones", name="variance", trainable=False),
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Compute the cell; in training, update the moving statistics."""
        numbers = tf.convert_to_tensor(self._numbers)
        operations, is_input = tf.unstack(numbers[:6]), tf.unstack(numbers[6:-1])
        copies = _function(_copies)(inputs, numbers[-1])
        weights = self._weights(training)
        nodes: list[Any] = [inputs, *[None] * (NODES - 1)]
        statistics = []
        for (source, target), *rest in zip(
            EDGES.values(), operations, copies, *weights, strict=True
        ):
            operation, copy, *edge_weights = rest
            sources = [is_input[source], nodes[source], copy] if source else [copy]
            before = [] if nodes[target] is None else [nodes[target]]
            run = _function(_edge, bool(training), len(sources), len(before))
            nodes[target], *edge_statistics = run(operation, *sources, *before, *edge_weights)
            nodes[target].set_shape(inputs.shape)
            statistics.append(edge_statistics)
        if training:
            mean, variance = map(tf.stack, zip(*statistics, strict=True))
            self._update_statistics(numbers[:6], inputs, mean, variance)
        return nodes[-1]

    def _weights(self, training: bool) -> list[list[tf.Tensor]]:
        """Return the weights of each edge; outside training, the normalisation is folded in."""
        kernels, gamma, beta, mean, variance = map(tf.convert_to_tensor, (self.kernels, *self.norm))
        if training:
            return [tf.unstack(each) for each in (kernels, gamma, beta)]
        scale = tf.math.rsqrt(variance + BATCH_NORM_EPSILON) * gamma
        folded = kernels * scale[:, None, None, None]
        return [tf.unstack(each) for each in (folded, beta - mean * scale)]

    def _update_statistics(
        self, operations: tf.Tensor, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor
    ) -> None:
        numbers = [OPERATIONS.index(name) for name in CONVOLUTIONS]
        has_norm = tf.reduce_any(operations[:, None] == numbers, axis=1, keepdims=True)
        variance *= biased(x)
        for moving, value in zip(self.norm[2:], (mean, variance), strict=True):
            now = moving * BATCH_NORM_MOMENTUM + value * (1 - BATCH_NORM_MOMENTUM)
            moving.assign(tf.where(has_norm, now, moving))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the input."""
        return input_shape


def _function(function: Callable[..., Any], *settings: Any) -> Callable[..., Any]:
    """Return a function that is traced only once for the cells of all stacks.

    The function's signature does not contain the numbers of channels and pixels.
    """
    run = partial(function, *settings)
    if tf.executing_eagerly():
        return run
    traced = _functions.setdefault(tf.compat.v1.get_default_graph(), {})

    def call(*inputs: tf.Tensor) -> Any:
        if (function, settings) not in traced:
            specs = [tf.TensorSpec([None] * each.shape.rank, each.dtype) for each in inputs]
            traced[function, settings] = tf.function(run, autograph=False, input_signature=specs)
        return traced[function, settings](*inputs)

    return call


@tf.custom_gradient
def _copies(x: tf.Tensor, order: tf.Tensor) -> tuple[list[tf.Tensor], Callable[..., Any]]:
    """Copy the cell's input for each edge; the gradients are summed in the given order."""

    def gradient(*gradients: tf.Tensor) -> tuple[tf.Tensor, None]:
        sums = [partial(reduce, _plus, [gradients[edge] for edge in each]) for each in FULL_ORDERS]
        return tf.switch_case(order, sums), None

    return [tf.identity(x) for _ in EDGES], gradient


def _plus(total: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """Add a gradient, with a barrier that keeps TensorFlow from merging and reordering sums."""
    barrier = tf.raw_ops.PlaceholderWithDefault
    return barrier(input=total + gradient, shape=total.shape)


def _edge(training: bool, sources: int, befores: int, *inputs: tf.Tensor) -> list[tf.Tensor]:
    """Compute an edge with ``training_edge`` or ``trained_edge``.

    Args:
        training: Whether to use ``training_edge``.
        sources: Number of inputs that specify the source node. If 1, the input is the edge's copy
            of the cell's input; if 3, the inputs are a flag for whether the source node is the
            cell's input, the source node, and the copy.
        befores: Number of inputs that hold the target node's previous value: 0 or 1.
        inputs: The operation's number, the source node, the target node, then the weights.
    """
    operation, *rest = inputs
    x = rest[0] if sources == 1 else tf.cond(rest[0] > 0, lambda: rest[2], lambda: rest[1])
    before, weights = rest[sources : sources + befores], rest[sources + befores :]
    return (training_edge if training else trained_edge)(operation, x, before, weights)
