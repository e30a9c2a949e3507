"""Variation of mixed variables, as Platypus operators with a generator of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import platypus

from xnas_tf.strategy.problem import VariableType


class Tournament(platypus.Selector):
    """Binary tournament by rank, then crowding distance (Deb et al. 2002, NSGA-II)."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._rng = rng

    def select_one(self, population: list[platypus.Solution]) -> platypus.Solution:
        """The better of two drawn at random; the first where they are equal."""
        first, second = (population[int(i)] for i in self._rng.integers(len(population), size=2))
        return second if platypus.nondominated_sort_cmp(second, first) < 0 else first


class MixedVariation(platypus.Variator):
    """Uniform crossover of two parents, then each variable's own mutation.

    Nothing is assumed about the order of unordered choices, other than by simulated binary
    crossover and polynomial mutation on integers. The child differs from its first parent
    in at least one variable.

    Args:
        rng: The generator that everything is drawn with.
        crossover: Probability of crossing at all.
        mutation: Probability that a variable is mutated; 1 / variables if None.
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
        self._mutate(places, problem.types)
        if places == first:
            self._mutate_one(places, problem.types)
        child = platypus.Solution(problem)
        child.variables[:] = places
        return [child]

    def _crossed(self, first: list, second: list) -> list:
        if self._rng.random() >= self._crossover:
            return list(first)
        swaps = self._rng.random(len(first)) < 0.5
        return [b if swap else a for a, b, swap in zip(first, second, swaps, strict=True)]

    def _mutate(self, places: list, types: Sequence[VariableType]) -> None:
        rate = self._mutation or 1 / len(places)
        for index in np.flatnonzero(self._rng.random(len(places)) < rate):
            places[index] = types[index].variable.mutate(places[index], self._rng)

    def _mutate_one(self, places: list, types: Sequence[VariableType]) -> None:
        free = [i for i in range(len(places)) if types[i].variable.size > 1]
        index = free[int(self._rng.integers(len(free)))]
        places[index] = types[index].variable.mutate(places[index], self._rng)
