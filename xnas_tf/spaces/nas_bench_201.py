"""The NAS-Bench-201 search space (Dong & Yang 2020, arXiv 2001.00326) as a HyperModel.

A cell is a directed acyclic graph of four nodes. Each of its six edges carries one of five
operations, and a node is the sum of its incoming edges. Cells are stacked into a fixed skeleton,
which consists of a stem, three stacks of cells with C, 2C and 4C channels, residual blocks of
stride 2 between the stacks, global average pooling and a linear classifier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import keras_tuner
from keras import layers

from xnas_tf.spaces.cells import (
    EDGES,
    NODES,
    OPERATIONS,
    format_genotype,
    live_edges,
    network_of,
    path_counts,
    plain,
)
from xnas_tf.spaces.layers import batch_norm, convolution


class NASBench201(keras_tuner.HyperModel):
    """HyperModel of networks that repeat one cell; ``input_shape`` is (height, width, channels).

    With ``nor_conv_3x3`` on all edges, C=16 ``channels`` in the first stack, N=5
    ``cells_per_stack``, RGB images and 10 classes, a network has the published 1,531,546 trainable
    parameters.
    """

    shows_all = True
    genotype = staticmethod(format_genotype)
    identity = staticmethod(network_of)
    simplify = staticmethod(plain)
    features = staticmethod(path_counts)

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        classes: int,
        channels: int = 16,
        cells_per_stack: int = 5,
    ) -> None:
        super().__init__(name="nas_bench_201")
        self.image_shape = tuple(input_shape)
        self.classes = classes
        self.channels = channels
        self.cells_per_stack = cells_per_stack

    def infeasible(self, cell: Mapping[str, str]) -> str | None:
        """Return the reason why no network can be built, or None if one can be built."""
        return None if live_edges(cell) else "the cell has no path from its input to its output"

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the uncompiled Keras model, which ends in a softmax."""
        cell = {edge: hp.Choice(edge, list(OPERATIONS), default="nor_conv_3x3") for edge in EDGES}
        if reason := self.infeasible(cell):
            raise ValueError(f"{format_genotype(cell)}: {reason}")
        return self.stacked(partial(_cell, cell))

    def stacked(self, cell: Callable[[Any, int, str], Any]) -> keras.Model:
        """Build the skeleton's model; ``cell(input, channels, name)`` returns a cell's output."""
        inputs = keras.Input(self.image_shape, name="image")
        x = convolution(inputs, self.channels, 3, "stem_conv")
        x = batch_norm(x, "stem_norm")
        for stack in range(3):
            channels = self.channels * 2**stack
            if stack:
                x = _residual_block(x, channels, f"reduction{stack}")
            for index in range(self.cells_per_stack):
                x = cell(x, channels, f"stack{stack + 1}_cell{index + 1}")
        x = batch_norm(x, "final_norm")
        x = layers.Activation("relu", name="final_relu")(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(self.classes, name="logits")(x)
        return keras.Model(inputs, layers.Softmax(name="probabilities")(x), name="nas_bench_201")


def _relu_conv_norm(x: Any, channels: int, kernel: int, name: str, strides: int = 1) -> Any:
    x = layers.Activation("relu", name=f"{name}_relu")(x)
    x = convolution(x, channels, kernel, f"{name}_conv", strides)
    return batch_norm(x, f"{name}_norm")


def _operation(x: Any, operation: str, channels: int, name: str) -> Any:
    if operation == "skip_connect":
        return x
    if operation == "avg_pool_3x3":
        return layers.AveragePooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[operation]
    return _relu_conv_norm(x, channels, kernel, name)


def _cell(cell: Mapping[str, str], x: Any, channels: int, name: str) -> Any:
    """Build the edges of a cell that lie on a path from its input to its output."""
    nodes = {0: x}
    live = live_edges(cell)
    for node in range(1, NODES):
        incoming = [
            _operation(nodes[source], cell[edge], channels, f"{name}_{edge}")
            for edge, (source, target) in EDGES.items()
            if target == node and edge in live
        ]
        if len(incoming) > 1:
            nodes[node] = layers.Add(name=f"{name}_node{node}")(incoming)
        elif incoming:
            nodes[node] = incoming[0]
    return nodes[NODES - 1]


def _residual_block(x: Any, channels: int, name: str) -> Any:
    """Halve the height and width, and double the number of channels."""
    shortcut = layers.AveragePooling2D(2, padding="same", name=f"{name}_shortcut_pool")(x)
    shortcut = convolution(shortcut, channels, 1, f"{name}_shortcut_conv")
    x = _relu_conv_norm(x, channels, 3, f"{name}_a", strides=2)
    x = _relu_conv_norm(x, channels, 3, f"{name}_b")
    return layers.Add(name=f"{name}_sum")([x, shortcut])
