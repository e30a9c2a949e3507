"""A search as a Platypus problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import platypus

from xnas_tf.spaces.variables import Variable, decode


class Space(Protocol):
    """What a search needs to know of a search space."""

    variables: Sequence[Variable]

    @property
    def size(self) -> float:
        """An upper bound of the number of architectures."""

    def genotype(self, values: dict[str, Any]) -> str:
        """The canonical text of an architecture."""


class VariableType(platypus.Type):
    """A variable as Platypus sees it; drawn by the search's generator, never a global one."""

    def __init__(self, variable: Variable, rng: Any) -> None:
        super().__init__()
        self.variable = variable
        self._rng = rng

    def rand(self) -> Any:
        """An encoded value at random."""
        return self.variable.sample(self._rng)

    def decode(self, value: Any) -> Any:
        """The value that an encoded one stands for."""
        return self.variable.decode(value)


class SearchProblem(platypus.Problem):
    """Variables, objectives with directions, and one total constraint violation.

    Args:
        space: The search space.
        directions: ``minimize`` or ``maximize`` for each objective.
        rng: The generator that random variables are drawn with.
    """

    def __init__(self, space: Space, directions: Sequence[str], rng: Any) -> None:
        super().__init__(len(space.variables), len(directions), nconstrs=1)
        self.space = space
        self.types[:] = [VariableType(variable, rng) for variable in space.variables]
        self.directions[:] = list(directions)

    def values(self, solution: platypus.Solution) -> dict[str, Any]:
        """The active hyperparameters of a solution."""
        return decode(self.space.variables, solution.variables[:])
