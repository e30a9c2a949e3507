"""Crossover and mutation of mixed variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xnas_tf.spaces.variables import Variable, decode, is_active


class Variation:
    """Uniform crossover of two parents, followed by the mutation that each variable defines.

    Unlike simulated binary crossover and polynomial mutation on integers, this operator does not
    impose an order on unordered choices. Only variables that are active after crossover mutate, and
    the child differs from its first parent in at least one of them.

    ``crossover`` is the probability of crossover, and ``mutation`` the probability that an active
    variable mutates; if None, 1 divided by the number of active variables.
    """

    def __init__(
        self,
        variables: Sequence[Variable],
        rng: np.random.Generator,
        crossover: float,
        mutation: float | None,
    ) -> None:
        self._variables = variables
        self._rng = rng
        self._crossover = crossover
        self._mutation = mutation
        self._free = [i for i, variable in enumerate(variables) if variable.size > 1]
        self._is_conditional = any(variable.conditions for variable in variables)

    def evolve(self, first: list[Any], second: list[Any]) -> list[Any]:
        """Return the encoded variables of a child of two parents."""
        child = self._cross(first, second)
        free = self.free(child)
        rate = self._mutation or 1 / max(len(free), 1)
        for chosen in np.flatnonzero(self._rng.random(len(free)) < rate):
            self._mutate(child, free[chosen])
        if child == first and (free := self.free(child)):
            self._mutate(child, free[int(self._rng.integers(len(free)))])
        return child

    def free(self, encoded: Sequence[Any]) -> list[int]:
        """Return the indices of the active variables that have more than one value."""
        if not self._is_conditional:
            return self._free
        values = decode(self._variables, encoded)
        return [i for i in self._free if is_active(self._variables[i], values)]

    def _cross(self, first: list[Any], second: list[Any]) -> list[Any]:
        if self._rng.random() >= self._crossover:
            return list(first)
        swaps = self._rng.random(len(first)) < 0.5
        return [b if swap else a for a, b, swap in zip(first, second, swaps, strict=True)]

    def _mutate(self, encoded: list[Any], index: int) -> None:
        encoded[index] = self._variables[index].mutate(encoded[index], self._rng)
