"""The supernet, and its binding to the cells' own models, with which it shares weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import EllipsisType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xnas_tf.attribution.explainer import always_trace
from xnas_tf.config import Config
from xnas_tf.data import Dataset
from xnas_tf.data.batches import batching
from xnas_tf.distributed import Communicator
from xnas_tf.evaluation.supernet.cell import SupernetCell, numbers_of
from xnas_tf.evaluation.supernet.edge import CONVOLUTIONS
from xnas_tf.keras_tools.targets import build_metrics
from xnas_tf.spaces.cells import EDGES
from xnas_tf.spaces.nas_bench_201 import NASBench201
from xnas_tf.training.compilation import compile_model
from xnas_tf.training.predictor import Predictor
from xnas_tf.training.step import Step

Index = tuple[slice | int | EllipsisType, ...]
VariableSlice = tuple[keras.Variable, Index, keras.Variable]
"""A variable of the supernet, a slice of it, and the model's variable with the same values."""


class Supernet:
    """A compiled network that computes the network of any cell, so it is traced only once.

    ``bound`` is the binding of the model whose values the supernet holds; None if there is none.
    """

    def __init__(
        self, config: Config, dataset: Dataset, space: NASBench201, communicator: Communicator
    ) -> None:
        self.bound: WeightBinding | None = None
        convolutions = dict.fromkeys(EDGES, "nor_conv_3x3")
        self._numbers = tf.Variable(numbers_of(convolutions), trainable=False, dtype=tf.int32)
        self.model = model = space.stacked(
            lambda x, channels, name: SupernetCell(channels, self._numbers, name)(x)
        )
        always_trace(model)
        training = config.training
        batch_size, steps = batching(len(dataset.train), training.batch_size)
        compile_model(model, training, steps)
        model.optimizer.build(model.trainable_variables)
        build_metrics(model, dataset.classes)
        self.step = Step(model, dataset, batch_size, training.weight_decay, training, communicator)
        self.predictor = Predictor(model)

    def become(self, cell: Mapping[str, str]) -> None:
        """Make the supernet compute a cell's network from now on."""
        self._numbers.assign(numbers_of(cell))

    def slices(self, cell: Mapping[str, str], model: keras.Model) -> list[VariableSlice]:
        """Return the slices that correspond to the variables of a cell's own model.

        If both models are compiled, with built optimizers of the same class, the variables of the
        optimizers and metrics are included.
        """
        slices = list(_slices_of(self.model, cell, model))
        if self.model.compiled and model.compiled:
            slices += _slices_of_slots(self.model, model, slices)
            pairs = zip(self.model.metrics_variables, model.metrics_variables, strict=True)
            slices += [(shared, (...,), own) for shared, own in pairs]
        return slices


def _slices_of(
    network: keras.Model, cell: Mapping[str, str], model: keras.Model
) -> Iterator[VariableSlice]:
    layers = {layer.name: layer for layer in network.layers}
    for layer in model.layers:
        if layer.name in layers:
            pairs = zip(layers[layer.name].variables, layer.variables, strict=True)
            yield from ((shared, (...,), own) for shared, own in pairs)
        elif layer.variables:
            name, _, rest = layer.name.partition("_edge_")
            edge = "edge_" + rest.rpartition("_")[0]
            shared_cell, row = layers[name], list(EDGES).index(edge)
            if isinstance(layer, keras.layers.Conv2D):
                part = CONVOLUTIONS[cell[edge]]
                yield shared_cell.kernels, (row, part, part), layer.kernel
            else:
                pairs = zip(shared_cell.norm, layer.variables, strict=True)
                yield from ((shared, (row,), own) for shared, own in pairs)


def _slices_of_slots(
    network: keras.Model, model: keras.Model, slices: list[VariableSlice]
) -> Iterator[VariableSlice]:
    """Yield the slices for the variables of the optimizers: slots, steps and learning rates."""
    shared_index = {id(v): i for i, v in enumerate(network.trainable_variables)}
    own_index = {id(v): i for i, v in enumerate(model.trainable_variables)}
    for shared_slots, own_slots in zip(_slots(network), _slots(model), strict=True):
        for shared, part, own in slices:
            if id(own) in own_index:
                yield shared_slots[shared_index[id(shared)]], part, own_slots[own_index[id(own)]]
    for shared, own in zip(_scalars(network), _scalars(model), strict=True):
        yield shared, (...,), own


def _slots(model: keras.Model) -> list[list[keras.Variable]]:
    kept = {id(v) for v in model.optimizer.variables}
    count = len(model.trainable_variables)
    return [
        list(value)
        for name, value in sorted(vars(model.optimizer).items())
        if isinstance(value, list) and len(value) == count and all(id(v) in kept for v in value)
    ]


def _scalars(model: keras.Model) -> list[keras.Variable]:
    return [variable for variable in model.optimizer.variables if len(variable.shape) == 0]


class WeightBinding:
    """Copies values between a candidate's own model and a supernet."""

    def __init__(self, network: Supernet, candidate: Mapping[str, Any], model: keras.Model) -> None:
        self.network = network
        self._candidate = candidate
        self._slices = network.slices(candidate, model)
        self._variables = all_variables(network.model)

    def load(self) -> None:
        """Copy the model's values to the supernet, unless already copied, and zero all others."""
        if self.network.bound is self:
            return
        self.network.become(self._candidate)
        values = {id(v): np.zeros(v.shape, v.dtype) for v in self._variables}
        for shared, index, own in self._slices:
            values[id(shared)][index] = np.asarray(own)
        for variable in self._variables:
            variable.assign(values[id(variable)])
        self.network.bound = self

    def store(self) -> None:
        """Copy the supernet's values to the model, if the model is bound."""
        if self.network.bound is not self:
            return
        values = {id(v): np.array(v) for v in self._variables}  # copies: the variables change
        for shared, index, own in self._slices:
            own.assign(values[id(shared)][index])

    def synchronize(self) -> None:
        """Update both the model and the supernet to the latest values."""
        self.store()
        self.load()

    def invalidate(self) -> None:
        """Mark the supernet's values as outdated because the model's values have changed."""
        self.network.bound = None


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of a model, its optimizer and its metrics."""
    slots = model.optimizer.variables if model.compiled else ()
    return [*model.variables, *slots, *model.metrics_variables]
