"""Interface between a search algorithm and a search space, independent of Keras and TensorFlow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.spaces.variables import Variable


class Space(ABC):
    """Base class of search spaces: the interface that search algorithms use.

    All methods take the values of the active hyperparameters by name.
    """

    variables: Sequence[Variable]
    size: float
    """An upper bound on the number of architectures; infinite if a hyperparameter is continuous."""

    @abstractmethod
    def genotype(self, values: Mapping[str, Any]) -> str:
        """Return the canonical text of an architecture."""

    def simplify(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the simplest hyperparameters that give the same network."""
        return values

    def identity(self, values: Mapping[str, Any]) -> str:
        """Return text that equal networks share; only one network per text is proposed."""
        return self.genotype(values)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Return the reason why no network can be built, or None if one can be built."""
        return None

    def features(self, values: Mapping[str, Any]) -> Sequence[float]:
        """Return additional inputs for a surrogate, always of the same length."""
        return ()

    def trains(self, model: Any) -> bool:
        """Return whether a model is trained by the space's or the model's own code."""
        return False

    def gives_weights(self, model: Any) -> bool:
        """Return whether ``build`` loaded weights, such as pretrained ones, into a model."""
        return False
