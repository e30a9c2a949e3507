"""Binds candidates' own models to a supernet: which of its weights are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any, Protocol

import keras
import numpy as np

Index = tuple[slice | int | EllipsisType, ...]
VariableSlice = tuple[keras.Variable, Index, keras.Variable]
"""A variable of the supernet, and the slice of it that a variable of a model is."""


class BoundNetwork(Protocol):
    """What a binding needs of a supernet.

    Attributes:
        model: The Keras model.
        bound: The binding whose values it has.
    """

    model: keras.Model
    bound: WeightBinding | None

    def become(self, candidate: Mapping[str, Any]) -> None:
        """Compute from now on what a candidate's network does."""

    def slices(self, candidate: Mapping[str, Any], model: keras.Model) -> list[VariableSlice]:
        """Return where in it the variables of a candidate's own model are."""


class WeightBinding:
    """A candidate's own model, whose values a supernet loads and stores.

    Args:
        network: The supernet.
        candidate: The candidate's hyperparameters.
        model: Its own model.
    """

    def __init__(
        self, network: BoundNetwork, candidate: Mapping[str, Any], model: keras.Model
    ) -> None:
        self._network = network
        self._candidate = candidate
        self._slices = network.slices(candidate, model)
        self._variables = all_variables(network.model)

    def load(self) -> None:
        """Give the supernet the model's values, unless it has them; all others become zero."""
        if self._network.bound is self:
            return
        self._network.become(self._candidate)
        values = {id(v): np.zeros(v.shape, v.dtype) for v in self._variables}
        for shared, index, own in self._slices:
            values[id(shared)][index] = np.asarray(own)
        for variable in self._variables:
            variable.assign(values[id(variable)])
        self._network.bound = self

    def store(self) -> None:
        """Give the model the supernet's values, if they are the model's own."""
        if self._network.bound is not self:
            return
        values = {id(v): np.array(v) for v in self._variables}  # copies: the variables change
        for shared, index, own in self._slices:
            own.assign(values[id(shared)][index])

    def synchronize(self) -> None:
        """Give both the latest values."""
        self.store()
        self.load()

    def invalidate(self) -> None:
        """Note that the model's values have changed since they were loaded."""
        self._network.bound = None


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of a model and of its optimizer."""
    return [*model.variables, *(model.optimizer.variables if model.compiled else ())]
