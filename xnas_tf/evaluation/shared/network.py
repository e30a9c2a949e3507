"""The network that stands for all cells, and how a cell's own model is put into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.evaluation.shared.cell import SharedCell, numbers_of
from xnas_tf.evaluation.shared.edge import CONVOLUTIONS
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201

Part = tuple[slice | int, ...]
Place = tuple[keras.Variable, Part, keras.Variable]
"""A variable of the shared network, and the part of it that a variable of a small model is."""


class SharedNetwork:
    """A network whose edges each hold every operation.

    Attributes:
        model: The Keras model.
        tenant: Whose values it has.

    Args:
        space: The search space's networks.
    """

    tenant: Tenant | None = None

    def __init__(self, space: NASBench201) -> None:
        every = dict.fromkeys(EDGES, "nor_conv_3x3")
        self._numbers = tf.Variable(numbers_of(every), trainable=False, dtype=tf.int32)
        self.model = space.stacked(
            lambda x, channels, name: SharedCell(channels, self._numbers, name)(x)
        )

    def become(self, cell: Mapping[str, str]) -> None:
        """Computes from now on what a cell's network does."""
        self._numbers.assign(numbers_of(cell))


class Tenant:
    """A cell's own model, whose values the shared network takes and gives back.

    Args:
        network: The shared network.
        cell: Operation of each edge.
        model: The cell's own model. Where both are compiled, by optimizers of the same kind
            that are built, what they keep is taken and given back too.
    """

    def __init__(self, network: SharedNetwork, cell: Mapping[str, str], model: keras.Model) -> None:
        self._network = network
        self._cell = cell
        self._places = list(_places(network.model, cell, model))
        if network.model.compiled and model.compiled:
            self._places += _places_of_slots(network.model, model, self._places)
        self._everything = _all_variables(network.model)

    def take(self) -> None:
        """The network becomes the model, unless it is; what is no part of it becomes zero."""
        if self._network.tenant is self:
            return
        self._network.become(self._cell)
        values = {id(v): np.zeros(v.shape, v.dtype) for v in self._everything}
        for shared, part, own in self._places:
            values[id(shared)][part] = np.asarray(own)
        for variable in self._everything:
            variable.assign(values[id(variable)])
        self._network.tenant = self

    def give(self) -> None:
        """The model gets the present values."""
        values = {id(v): np.array(v) for v in self._everything}  # copies: the variables change
        for shared, part, own in self._places:
            own.assign(values[id(shared)][part])

    def leave(self) -> None:
        """Says that the model has other values by now."""
        self._network.tenant = None


def _all_variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *(model.optimizer.variables if model.compiled else ())]


def _places(network: keras.Model, cell: Mapping[str, str], model: keras.Model) -> Iterator[Place]:
    """Where in the shared network the variables of a cell's model are."""
    layers = {layer.name: layer for layer in network.layers}
    for layer in model.layers:
        if layer.name in layers:
            pairs = zip(layers[layer.name].variables, layer.variables, strict=True)
            yield from ((shared, (...,), own) for shared, own in pairs)
        elif layer.variables:
            name, _, rest = layer.name.partition("_edge_")
            edge = "edge_" + rest.rpartition("_")[0]
            yield from _places_of_edge(layers[name], edge, cell[edge], layer)


def _places_of_edge(
    shared: SharedCell, edge: str, operation: str, layer: keras.layers.Layer
) -> Iterator[Place]:
    row = list(EDGES).index(edge)
    if isinstance(layer, keras.layers.Conv2D):
        part = CONVOLUTIONS[operation]
        yield shared.kernels, (row, part, part), layer.kernel
        return
    for variable, own in zip(shared.norm, layer.variables, strict=True):
        yield variable, (row,), own


def _places_of_slots(
    network: keras.Model, model: keras.Model, places: list[Place]
) -> Iterator[Place]:
    """The same for what the optimizers keep: of each variable, and their steps and rates."""
    shared_number = {id(v): i for i, v in enumerate(network.trainable_variables)}
    own_number = {id(v): i for i, v in enumerate(model.trainable_variables)}
    for shared_slots, own_slots in zip(_slots(network), _slots(model), strict=True):
        for shared, part, own in places:
            if id(own) in own_number:
                yield shared_slots[shared_number[id(shared)]], part, own_slots[own_number[id(own)]]
    for shared, own in zip(_scalars(network), _scalars(model), strict=True):
        yield shared, (...,), own


def _slots(model: keras.Model) -> list[list[keras.Variable]]:
    """What a model's optimizer keeps for each trainable variable, such as momentums: lists."""
    kept = {id(v) for v in model.optimizer.variables}
    count = len(model.trainable_variables)
    return [
        list(value)
        for name, value in sorted(vars(model.optimizer).items())
        if isinstance(value, list) and len(value) == count and all(id(v) in kept for v in value)
    ]


def _scalars(model: keras.Model) -> list[keras.Variable]:
    """An optimizer's step and learning rate."""
    return [variable for variable in model.optimizer.variables if len(variable.shape) == 0]
