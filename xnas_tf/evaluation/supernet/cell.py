"""A cell whose edges hold all operations and do those that numbers say."""

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

_functions: WeakKeyDictionary[Any, dict[Any, Callable]] = WeakKeyDictionary()
"""By the graph that is being traced. A function that was traced for one edge serves others of the
same shape in that graph, and its gradient too. It must not serve another graph: what it registers
as its gradient is forgotten with ``forgotten_custom_gradients``."""


def numbers_of(cell: Mapping[str, str]) -> list[int]:
    """A cell as numbers: the operation of each edge, whether each node is the cell's input
    itself, and in which order the input's gradients are summed, (11,)."""
    chosen = plain(cell)
    operations = [OPERATIONS.index(chosen[edge]) for edge in EDGES]
    return [*operations, *map(int, aliases(cell)), number_of(cell)]


class SupernetCell(keras.layers.Layer):
    """All cells of NAS-Bench-201; in float32, channels last.

    Only one operation of an edge runs in a network, so an edge has one kernel and one
    normalisation, and those of all edges are one variable: an optimizer works on as many
    variables as for a small network.

    Args:
        channels: Channels of its input and output.
        numbers: The cell that it is, see ``numbers_of``, int32 (11,).
        name: The cell's name in the network.
    """

    def __init__(self, channels: int, numbers: tf.Variable, name: str) -> None:
        super().__init__(name=name)
        self._channels = channels
        self._numbers = numbers

    def build(self, _: Any) -> None:
        """Makes the weights; their values are those of the networks that are put in."""
        rows = (len(EDGES), self._channels)
        add_weight = self.add_weight
        self.kernels = add_weight(shape=(len(EDGES), 3, 3, rows[1], rows[1]), name="kernels")
        self.norm = [
            add_weight(shape=rows, initializer="ones", name="gamma"),
            add_weight(shape=rows, initializer="zeros", name="beta"),
            add_weight(shape=rows, initializer="zeros", name="mean", trainable=False),
            add_weight(shape=rows, initializer="ones", name="variance", trainable=False),
        ]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Runs the cell; in training it updates the moving statistics."""
        numbers = tf.convert_to_tensor(self._numbers)
        operations, is_input = tf.unstack(numbers[:6]), tf.unstack(numbers[6:-1])
        copies = _function(_copies)(inputs, numbers[-1])
        weights = self._weights(training)
        nodes: list[Any] = [inputs, *[None] * (NODES - 1)]
        statistics = []
        for (source, target), *given in zip(
            EDGES.values(), operations, copies, *weights, strict=True
        ):
            operation, copy, *of_edge = given
            sources = [is_input[source], nodes[source], copy] if source else [copy]
            before = [] if nodes[target] is None else [nodes[target]]
            run = _function(_edge, bool(training), len(sources), len(before))
            nodes[target], *found = run(operation, *sources, *before, *of_edge)
            nodes[target].set_shape(inputs.shape)
            statistics.append(found)
        if training:
            self._update(numbers[:6], inputs, [*map(tf.stack, zip(*statistics, strict=True))])
        return nodes[-1]

    def _weights(self, training: bool) -> list[list[tf.Tensor]]:
        """What each edge needs of them."""
        kernels, gamma, beta, mean, variance = map(tf.convert_to_tensor, (self.kernels, *self.norm))
        if training:
            return [tf.unstack(each) for each in (kernels, gamma, beta)]
        scale = tf.math.rsqrt(variance + BATCH_NORM_EPSILON) * gamma
        folded = kernels * scale[:, None, None, None]
        return [tf.unstack(each) for each in (folded, beta - mean * scale)]

    def _update(self, operations: tf.Tensor, x: tf.Tensor, found: list[tf.Tensor]) -> None:
        """Updates the moving statistics of the edges that are convolutions."""
        numbers = [OPERATIONS.index(name) for name in CONVOLUTIONS]
        has_norm = tf.reduce_any(operations[:, None] == numbers, axis=1, keepdims=True)
        mean, variance = found
        variance *= biased(x)
        for moving, value in zip(self.norm[2:], (mean, variance), strict=True):
            now = moving * BATCH_NORM_MOMENTUM + value * (1 - BATCH_NORM_MOMENTUM)
            moving.assign(tf.where(has_norm, now, moving))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The input's."""
        return input_shape


def _function(function: Callable, *settings: Any) -> Callable:
    """A function that is traced once for the cells of all stacks: without numbers of channels and
    pixels."""
    run = partial(function, *settings)
    if tf.executing_eagerly():
        return run
    known = _functions.setdefault(tf.compat.v1.get_default_graph(), {})

    def call(*given: tf.Tensor) -> Any:
        if (function, settings) not in known:
            specs = [tf.TensorSpec([None] * each.shape.rank, each.dtype) for each in given]
            traced = tf.function(run, autograph=False, input_signature=specs)
            known[function, settings] = traced
        return known[function, settings](*given)

    return call


@tf.custom_gradient
def _copies(x: tf.Tensor, order: tf.Tensor) -> tuple[list[tf.Tensor], Callable]:
    """The cell's input for each edge; their gradients are summed in the order of that number."""

    def total(*gradients: tf.Tensor) -> tuple[tf.Tensor, None]:
        sums = [partial(reduce, _plus, [gradients[edge] for edge in each]) for each in FULL_ORDERS]
        return tf.switch_case(order, sums), None

    return [tf.identity(x) for _ in EDGES], total


def _plus(total: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """A sum that TensorFlow does not join with the next: it would choose an order of its own."""
    barrier = tf.raw_ops.PlaceholderWithDefault
    return barrier(input=total + gradient, shape=total.shape)


def _edge(training: bool, sources: int, befores: int, *given: tf.Tensor) -> list[tf.Tensor]:
    """See ``training_edge`` and ``trained_edge``.

    Args:
        training: Which of the two.
        sources: 1 if the edge's copy of the cell's input comes after the operation's number; 3 if
            it is whether the source node is the cell's input, the source node, and the copy.
        befores: 1 if the target node as it was before comes next.
        given: The operation's number, these, then the weights.
    """
    operation, *rest = given
    x = rest[0] if sources == 1 else _either(*rest[:3])
    before, weights = rest[sources : sources + befores], rest[sources + befores :]
    return (training_edge if training else trained_edge)(operation, x, before, weights)


def _either(is_input: tf.Tensor, node: tf.Tensor, copy: tf.Tensor) -> tf.Tensor:
    return tf.cond(is_input > 0, lambda: copy, lambda: node)
