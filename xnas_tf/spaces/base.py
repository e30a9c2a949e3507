"""What a search needs to know of a search space, without Keras or TensorFlow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from xnas_tf.spaces.variables import Variable


class Space(ABC):
    """What a search needs to know of a search space.

    Attributes:
        variables: What can be chosen.
        size: An upper bound of the number of architectures.
    """

    variables: Sequence[Variable]
    size: float

    @abstractmethod
    def genotype(self, values: Mapping[str, Any]) -> str:
        """The canonical text of an architecture."""

    def simplify(self, values: dict[str, Any]) -> dict[str, Any]:
        """The plainest hyperparameters of the same network."""
        return values

    def identity(self, values: Mapping[str, Any]) -> str:
        """What tells networks apart: of one identity, one is proposed."""
        return self.genotype(values)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Why no network can be built; None where one can."""
        return None

    def features(self, values: Mapping[str, Any]) -> Sequence[float]:
        """Further numbers from which values may be predicted, always as many."""
        return ()

    def trains(self, model: Any) -> bool:
        """Whether a model is trained by code of the space, or its own."""
        return False
