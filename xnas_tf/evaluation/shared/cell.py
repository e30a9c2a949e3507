"""A cell whose edges hold all operations and do those that numbers say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from xnas_tf.evaluation.shared.summation import FULL_ORDERS, aliases, number_of
from xnas_tf.spaces.cells import EDGES, NODES, OPERATIONS, plain
from xnas_tf.spaces.layers import BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM

CONVOLUTIONS = {"nor_conv_1x1": slice(1, 2), "nor_conv_3x3": slice(0, 3)}
"""Which part of an edge's 3x3 kernel is that of an operation, in height and in width."""

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


class SharedCell(keras.layers.Layer):
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
        numbers = tf.unstack(tf.convert_to_tensor(self._numbers))
        operations, is_input, order = numbers[:6], numbers[6:-1], numbers[-1]
        weights = (tf.unstack(tf.convert_to_tensor(v)) for v in (self.kernels, *self.norm))
        given = zip(
            EDGES.values(), _function(_copies)(inputs, order), operations, *weights, strict=True
        )
        nodes: list[Any] = [inputs, *[None] * (NODES - 1)]
        statistics = []
        for (source, target), copy, *of_edge in given:
            sources = [is_input[source], nodes[source], copy] if source else [copy]
            before = [] if nodes[target] is None else [nodes[target]]
            run = _function(_edge, bool(training), len(sources), len(before))
            nodes[target], *found = run(*sources, *before, *of_edge)
            nodes[target].set_shape(inputs.shape)
            statistics.append(found)
        if training:
            for moving, values in zip(self.norm[2:], zip(*statistics, strict=True), strict=True):
                moving.assign(tf.stack(values))
        return nodes[-1]

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
    """The target node after the edge, and in training the moving statistics.

    A target node is handed on from edge to edge, so that ``none`` costs no sum.

    Args:
        training: Whether it is.
        sources: 1 if ``given`` begins with the edge's copy of the cell's input; 3 if it begins
            with whether the source node is the cell's input, the source node, and the copy.
        befores: 1 if the target node as it was before comes next.
        given: Then the operation's number, kernel, gamma, beta, mean and variance.
    """
    rest = given[sources + befores :]
    x = given[0] if sources == 1 else _either(*given[:3])
    before = given[sources] if befores else None
    operation, kernel, *norm = rest
    held = [tf.stop_gradient(v) for v in norm[2:]] if training else []

    def into(outputs: tf.Tensor) -> tf.Tensor:
        return outputs if before is None else before + outputs

    def convolved(part: slice) -> list[tf.Tensor]:
        convolve = _train if training else _infer
        outputs, *found = convolve(tf.nn.relu(x), kernel[part, part], norm)
        return [into(outputs), *found]

    branches: dict[str, Callable[[], list[tf.Tensor]]] = {
        "none": lambda: [tf.zeros_like(x) if before is None else before, *held],
        "skip_connect": lambda: [into(x), *held],
        "avg_pool_3x3": lambda: [into(tf.nn.avg_pool2d(x, 3, 1, "SAME")), *held],
        **{name: partial(convolved, part) for name, part in CONVOLUTIONS.items()},
    }
    return tf.switch_case(operation, [branches[name] for name in OPERATIONS])


def _either(is_input: tf.Tensor, node: tf.Tensor, copy: tf.Tensor) -> tf.Tensor:
    return tf.cond(is_input > 0, lambda: copy, lambda: node)


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
