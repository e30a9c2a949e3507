"""A search space as a Platypus problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import platypus

from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import Variable, decode, is_active


class VariableType(platypus.Type):
    """A Platypus type for a variable, sampled with the search's generator, never a global one."""

    def __init__(self, variable: Variable, rng: np.random.Generator) -> None:
        super().__init__()
        self.variable = variable
        self._rng = rng

    def rand(self) -> Any:
        """Sample an encoded value."""
        return self.variable.sample(self._rng)

    def decode(self, value: Any) -> Any:
        """Decode an encoded value."""
        return self.variable.decode(value)


class SearchProblem(platypus.Problem):
    """Variables, objectives to be minimised, and one total constraint violation.

    Args:
        space: The search space.
        objectives: Number of objectives.
        rng: The generator that random architectures are sampled with.
    """

    def __init__(self, space: Space, objectives: int, rng: np.random.Generator) -> None:
        super().__init__(len(space.variables), objectives, nconstrs=1)
        self.space = space
        self.types[:] = [VariableType(variable, rng) for variable in space.variables]
        self._free = [i for i, variable in enumerate(space.variables) if variable.size > 1]
        self._is_conditional = any(variable.conditions for variable in space.variables)

    def values(self, solution: platypus.Solution) -> dict[str, Any]:
        """Return the active hyperparameters of a solution."""
        return decode(self.space.variables, solution.variables[:])

    def free(self, encoded: Sequence[Any]) -> list[int]:
        """Return the indices of the active variables that have more than one value."""
        if not self._is_conditional:
            return self._free
        values = decode(self.space.variables, encoded)
        return [i for i in self._free if is_active(self.space.variables[i], values)]
