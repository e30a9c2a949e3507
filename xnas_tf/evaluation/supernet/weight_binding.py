"""Networks that train in place of candidates' own models, and how these are put into them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import keras
import numpy as np

Split = tuple[slice | int, ...]
VariableSlice = tuple[keras.Variable, Split, keras.Variable]
"""A variable of the shared network, and the part of it that a variable of a small model is."""


class HostNetwork(Protocol):
    """A network that trains in place of candidates' own models.

    Attributes:
        model: The Keras model.
        tenant: Whose values it has.
    """

    model: keras.Model
    tenant: WeightBinding | None

    def become(self, candidate: Mapping[str, Any]) -> None:
        """Computes from now on what a candidate's network does."""

    def places(self, candidate: Mapping[str, Any], model: keras.Model) -> list[VariableSlice]:
        """Where in it the variables of a candidate's own model are."""


class WeightBinding:
    """A candidate's own model, whose values a network takes and gives back.

    Args:
        network: The network.
        candidate: The candidate's hyperparameters.
        model: Its own model.
    """

    def __init__(
        self, network: HostNetwork, candidate: Mapping[str, Any], model: keras.Model
    ) -> None:
        self._network = network
        self._candidate = candidate
        self._places = network.places(candidate, model)
        self._everything = all_variables(network.model)

    def take(self) -> None:
        """The network becomes the model, unless it is; what is no part of it becomes zero."""
        if self._network.tenant is self:
            return
        self._network.become(self._candidate)
        values = {id(v): np.zeros(v.shape, v.dtype) for v in self._everything}
        for shared, part, own in self._places:
            values[id(shared)][part] = np.asarray(own)
        for variable in self._everything:
            variable.assign(values[id(variable)])
        self._network.tenant = self

    def give(self) -> None:
        """The model gets the present values, if they are its own."""
        if self._network.tenant is not self:
            return
        values = {id(v): np.array(v) for v in self._everything}  # copies: the variables change
        for shared, part, own in self._places:
            own.assign(values[id(shared)][part])

    def settle(self) -> None:
        """Both have the latest values."""
        self.give()
        self.take()

    def leave(self) -> None:
        """Says that the model has other values by now."""
        self._network.tenant = None


def all_variables(model: keras.Model) -> list[keras.Variable]:
    """Those of a model, and those of its optimizer."""
    return [*model.variables, *(model.optimizer.variables if model.compiled else ())]
