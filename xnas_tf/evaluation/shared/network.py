"""The network that stands for all cells, and how a cell's network is put into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.evaluation.shared.cell import CONVOLUTIONS, SharedCell, numbers_of
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201

Place = tuple[keras.Variable, tuple[slice | int, ...]]
"""A variable of the shared network, and the part of it that is a small model's variable."""
Pair = tuple[Place, keras.Variable]


class SharedNetwork:
    """A network whose edges each hold every operation.

    Attributes:
        model: The Keras model, uncompiled.

    Args:
        space: The search space's networks.
    """

    def __init__(self, space: NASBench201) -> None:
        every = dict.fromkeys(EDGES, "nor_conv_3x3")
        self._numbers = tf.Variable(numbers_of(every), trainable=False, dtype=tf.int32)
        self.model = space.stacked(
            lambda x, channels, name: SharedCell(channels, self._numbers, name)(x)
        )

    def take(self, cell: Mapping[str, str], model: keras.Model) -> None:
        """Becomes the network of a cell: with the values of its model's variables and, where both
        are compiled, of its optimizer's."""
        self._numbers.assign(numbers_of(cell))
        values: dict[int, np.ndarray] = {}
        owners: dict[int, keras.Variable] = {}
        for (own, part), other in self._all_places(cell, model):
            owners[id(own)] = own
            array = values.setdefault(id(own), np.zeros(own.shape, own.dtype))
            array[part] = np.asarray(other)
        for key, own in owners.items():
            own.assign(values[key])

    def give(self, cell: Mapping[str, str], model: keras.Model) -> None:
        """Gives the model that was taken, and its optimizer, the present values."""
        values: dict[int, np.ndarray] = {}
        for (own, part), other in self._all_places(cell, model):
            if id(own) not in values:
                values[id(own)] = np.array(own)  # a copy: the variable changes
            other.assign(values[id(own)][part])

    def _all_places(self, cell: Mapping[str, str], model: keras.Model) -> list[Pair]:
        places = list(self.places(cell, model))
        if not (model.compiled and self.model.compiled):
            return places
        own, other = self.model.optimizer, model.optimizer
        pairs = zip(_slots(own, self.model), _slots(other, model), strict=True)
        numbers = {id(v): i for i, v in enumerate(self.model.trainable_variables)}
        others = {id(v): i for i, v in enumerate(model.trainable_variables)}
        places += [
            ((ours[numbers[id(variable)]], part), theirs[others[id(wanted)]])
            for ours, theirs in pairs
            for (variable, part), wanted in self.places(cell, model)
            if id(wanted) in others
        ]
        scalars = zip(_scalars(own), _scalars(other), strict=True)
        return places + [((ours, ()), theirs) for ours, theirs in scalars]

    def places(self, cell: Mapping[str, str], model: keras.Model) -> Iterator[Pair]:
        """Where in the shared network the variables of a cell's model are."""
        own = {layer.name: layer for layer in self.model.layers}
        for layer in model.layers:
            if layer.name in own:
                for ours, theirs in zip(own[layer.name].variables, layer.variables, strict=True):
                    yield (ours, ()), theirs
                continue
            name, found, rest = layer.name.partition("_edge_")
            if not (found and layer.variables):
                continue
            edge = "edge_" + rest.rpartition("_")[0]
            row = list(EDGES).index(edge)
            if isinstance(layer, keras.layers.Conv2D):
                part = CONVOLUTIONS[cell[edge]]
                yield (own[name].kernels, (row, part, part)), layer.kernel
            else:
                for ours, theirs in zip(own[name].norm, layer.variables, strict=True):
                    yield (ours, (row,)), theirs


def _slots(optimizer: keras.Optimizer, model: keras.Model) -> list[list[keras.Variable]]:
    """What an optimizer keeps for each trainable variable, such as momentums: lists of it."""
    kept = {id(v) for v in optimizer.variables}
    count = len(model.trainable_variables)
    return [
        list(value)
        for name, value in sorted(vars(optimizer).items())
        if isinstance(value, list) and len(value) == count and all(id(v) in kept for v in value)
    ]


def _scalars(optimizer: keras.Optimizer) -> list[keras.Variable]:
    """An optimizer's step and learning rate."""
    return [variable for variable in optimizer.variables if len(variable.shape) == 0]
