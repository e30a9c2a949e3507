"""Crossover and mutation of mixed variables, as a Platypus operator with its own generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import platypus

from xnas_tf.strategy.problem import VariableType


class MixedVariation(platypus.Variator):
    """Uniform crossover of two parents, then the mutation that each variable defines.

    Unlike simulated binary crossover and polynomial mutation on integers, this assumes no order
    of unordered choices. Only variables that are active after crossover mutate. The child
    differs from its first parent in at least one of them.

    Args:
        rng: The generator of all random numbers.
        crossover: Probability of crossover.
        mutation: Probability that an active variable is mutated; 1 / their number if None.
    """

    def __init__(
        self, rng: np.random.Generator, crossover: float = 0.9, mutation: float | None = None
    ) -> None:
        super().__init__(arity=2)
        self._rng = rng
        self._crossover = crossover
        self._mutation = mutation

    def evolve(self, parents: list[platypus.Solution]) -> list[platypus.Solution]:
        """Return one child of two parents, which are not changed."""
        problem = parents[0].problem
        first, second = (parent.variables[:] for parent in parents)
        encoded = self._cross(first, second)
        # On a list: Platypus' arrays check and convert with every access.
        self._mutate(encoded, problem.free(encoded), problem.types)
        if encoded == first and (free := problem.free(encoded)):
            self._mutate_one(encoded, free, problem.types)
        child = platypus.Solution(problem)
        child.variables[:] = encoded
        return [child]

    def _cross(self, first: list[Any], second: list[Any]) -> list[Any]:
        if self._rng.random() >= self._crossover:
            return list(first)
        swaps = self._rng.random(len(first)) < 0.5
        return [b if swap else a for a, b, swap in zip(first, second, swaps, strict=True)]

    def _mutate(self, encoded: list[Any], free: list[int], types: Sequence[VariableType]) -> None:
        rate = self._mutation or 1 / max(len(free), 1)
        for chosen in np.flatnonzero(self._rng.random(len(free)) < rate):
            index = free[chosen]
            encoded[index] = types[index].variable.mutate(encoded[index], self._rng)

    def _mutate_one(
        self, encoded: list[Any], free: list[int], types: Sequence[VariableType]
    ) -> None:
        index = free[int(self._rng.integers(len(free)))]
        encoded[index] = types[index].variable.mutate(encoded[index], self._rng)
