"""Variation of mixed variables, as Platypus operators with a generator of their own."""

from __future__ import annotations

import numpy as np
import platypus


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
        child = platypus.Solution(parents[0].problem)
        child.variables[:] = list(parents[0].variables)
        self._cross(child, parents[1])
        self._mutate(child)
        if list(child.variables) == list(parents[0].variables):
            self._mutate_one(child)
        return [child]

    def _cross(self, child: platypus.Solution, other: platypus.Solution) -> None:
        if self._rng.random() >= self._crossover:
            return
        for index, swap in enumerate(self._rng.random(len(child.variables)) < 0.5):
            if swap:
                child.variables[index] = other.variables[index]

    def _mutate(self, child: platypus.Solution) -> None:
        rate = self._mutation or 1 / len(child.variables)
        for index in np.flatnonzero(self._rng.random(len(child.variables)) < rate):
            self._mutate_at(child, int(index))

    def _mutate_one(self, child: platypus.Solution) -> None:
        types = child.problem.types
        free = [i for i in range(len(child.variables)) if types[i].variable.size > 1]
        self._mutate_at(child, free[int(self._rng.integers(len(free)))])

    def _mutate_at(self, child: platypus.Solution, index: int) -> None:
        variable = child.problem.types[index].variable
        child.variables[index] = variable.mutate(child.variables[index], self._rng)
