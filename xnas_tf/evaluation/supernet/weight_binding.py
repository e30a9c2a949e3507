"""Binds candidates' own models to the supernet with which they share weights."""

from __future__ import annotations

from collections.abc import Mapping
from types import EllipsisType
from typing import Any, Protocol

import keras
import numpy as np

Index = tuple[slice | int | EllipsisType, ...]
VariableSlice = tuple[keras.Variable, Index, keras.Variable]
"""A variable of the supernet, a slice of it, and the model's variable with the same values."""


class BoundNetwork(Protocol):
    """A supernet that computes the networks of candidates.

    Attributes:
        model: The Keras model.
        bound: The binding of the model whose values the supernet holds; None if there is none.
    """

    model: keras.Model
    bound: WeightBinding | None

    def become(self, candidate: Mapping[str, Any]) -> None:
        """Make the supernet compute a candidate's network from now on."""

    def slices(self, candidate: Mapping[str, Any], model: keras.Model) -> list[VariableSlice]:
        """Return the slices that correspond to the variables of a candidate's own model."""


class WeightBinding:
    """Copies values between a candidate's own model and a supernet.

    Args:
        network: The supernet.
        candidate: The candidate's hyperparameters.
        model: The candidate's own model.
    """

    def __init__(
        self, network: BoundNetwork, candidate: Mapping[str, Any], model: keras.Model
    ) -> None:
        self._network = network
        self._candidate = candidate
        self._slices = network.slices(candidate, model)
        self._variables = all_variables(network.model)

    def load(self) -> None:
        """Copy the model's values to the supernet, unless already copied, and zero all others."""
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
        """Copy the supernet's values to the model, if the model is bound."""
        if self._network.bound is not self:
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
        self._network.bound = None


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of a model, its optimizer and its metrics."""
    slots = model.optimizer.variables if model.compiled else ()
    return [*model.variables, *slots, *model.metrics_variables]
