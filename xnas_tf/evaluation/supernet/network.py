"""The network that stands for all cells, and where in it those of a cell's own model are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf

from xnas_tf.evaluation.supernet.cell import SupernetCell, numbers_of
from xnas_tf.evaluation.supernet.edge import CONVOLUTIONS
from xnas_tf.evaluation.supernet.weight_binding import VariableSlice, WeightBinding
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201


class Supernet:
    """A ``BoundNetwork`` whose edges each hold every operation.

    Args:
        space: The search space's networks.
    """

    bound: WeightBinding | None = None

    def __init__(self, space: NASBench201) -> None:
        every = dict.fromkeys(EDGES, "nor_conv_3x3")
        self._numbers = tf.Variable(numbers_of(every), trainable=False, dtype=tf.int32)
        self.model = space.stacked(
            lambda x, channels, name: SupernetCell(channels, self._numbers, name)(x)
        )

    def become(self, cell: Mapping[str, str]) -> None:
        """Computes from now on what a cell's network does."""
        self._numbers.assign(numbers_of(cell))

    def slices(self, cell: Mapping[str, str], model: keras.Model) -> list[VariableSlice]:
        """Where the variables of a cell's model are. Where both are compiled, by optimizers of the
        same kind that are built, what these keep is among them."""
        slices = list(_slices_of(self.model, cell, model))
        if self.model.compiled and model.compiled:
            slices += _slices_of_slots(self.model, model, slices)
        return slices


def _slices_of(
    network: keras.Model, cell: Mapping[str, str], model: keras.Model
) -> Iterator[VariableSlice]:
    """Where in the shared network the variables of a cell's model are."""
    layers = {layer.name: layer for layer in network.layers}
    for layer in model.layers:
        if layer.name in layers:
            pairs = zip(layers[layer.name].variables, layer.variables, strict=True)
            yield from ((shared, (...,), own) for shared, own in pairs)
        elif layer.variables:
            name, _, rest = layer.name.partition("_edge_")
            edge = "edge_" + rest.rpartition("_")[0]
            yield from _slices_of_edge(layers[name], edge, cell[edge], layer)


def _slices_of_edge(
    shared: SupernetCell, edge: str, operation: str, layer: keras.layers.Layer
) -> Iterator[VariableSlice]:
    row = list(EDGES).index(edge)
    if isinstance(layer, keras.layers.Conv2D):
        part = CONVOLUTIONS[operation]
        yield shared.kernels, (row, part, part), layer.kernel
        return
    for variable, own in zip(shared.norm, layer.variables, strict=True):
        yield variable, (row,), own


def _slices_of_slots(
    network: keras.Model, model: keras.Model, slices: list[VariableSlice]
) -> Iterator[VariableSlice]:
    """The same for what the optimizers keep: of each variable, and their steps and rates."""
    shared_number = {id(v): i for i, v in enumerate(network.trainable_variables)}
    own_number = {id(v): i for i, v in enumerate(model.trainable_variables)}
    for shared_slots, own_slots in zip(_slots(network), _slots(model), strict=True):
        for shared, part, own in slices:
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
