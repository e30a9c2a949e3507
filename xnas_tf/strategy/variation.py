"""Variation of mixed variables, as Platypus operators with a generator of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import platypus

from xnas_tf.strategy.problem import VariableType


class MixedVariation(platypus.Variator):
    """Uniform crossover of two parents, then each variable's own mutation.

    Nothing is assumed about the order of unordered choices, other than by simulated binary
    crossover and polynomial mutation on integers. Only variables that are active after
    crossover mutate. The child differs from its first parent in at least one of them.

    Args:
        rng: The generator that everything is drawn with.
        crossover: Probability of crossing at all.
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
        """One child of two parents, which stay as they are."""
        problem = parents[0].problem
        first, second = (parent.variables[:] for parent in parents)
        places = self._crossed(first, second)
        # On a list: Platypus' arrays check and convert with every access.
        self._mutate(places, problem.free(places), problem.types)
        if places == first and (free := problem.free(places)):
            self._mutate_one(places, free, problem.types)
        child = platypus.Solution(problem)
        child.variables[:] = places
        return [child]

    def _crossed(self, first: list, second: list) -> list:
        if self._rng.random() >= self._crossover:
            return list(first)
        swaps = self._rng.random(len(first)) < 0.5
        return [b if swap else a for a, b, swap in zip(first, second, swaps, strict=True)]

    def _mutate(self, places: list, free: list[int], types: Sequence[VariableType]) -> None:
        rate = self._mutation or 1 / max(len(free), 1)
        for chosen in np.flatnonzero(self._rng.random(len(free)) < rate):
            index = free[chosen]
            places[index] = types[index].variable.mutate(places[index], self._rng)

    def _mutate_one(self, places: list, free: list[int], types: Sequence[VariableType]) -> None:
        index = free[int(self._rng.integers(len(free)))]
        places[index] = types[index].variable.mutate(places[index], self._rng)
