"""Survivor and parent selection, which differs between algorithms."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import platypus

from xnas_tf.utils.randomness import own_generator

Population = list[platypus.Solution]
"""Solutions hold costs to be minimised and one total constraint violation."""


class CrowdedComparison(platypus.Dominance):
    """Preference for lower rank, then larger crowding distance (Deb et al. 2002, section III-B)."""

    def compare(self, solution1: platypus.Solution, solution2: platypus.Solution) -> int:
        """Return -1 if the first solution is better, 1 if the second is, and 0 if neither is."""
        return platypus.nondominated_sort_cmp(solution1, solution2)


class Selection(ABC):
    """Base class that selects survivors and parents of a population of the given size."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng

    @abstractmethod
    def survive(self, population: Population, offspring: Population) -> Population:
        """Return the next population once offspring, in order of proposal, have been evaluated."""

    def parents(self, population: Population) -> Population:
        """Return two parents from a population of two or more, by binary tournaments."""
        return self._hold_tournaments(2, 2, population)

    def _hold_tournaments(self, count: int, sample: int, population: Population) -> Population:
        """Return the best solution of each of ``count`` samples."""
        selector = platypus.TournamentSelector(sample, CrowdedComparison())
        # Platypus draws from Python's global generator.
        with own_generator(int(self._rng.integers(2**63))):
            return selector.select(count, population)


class NSGA2(Selection):
    """Elitist non-dominated sorting with crowding (Deb et al. 2002, NSGA-II), from Platypus."""

    def survive(self, population: Population, offspring: Population) -> Population:
        """Keep the best of the population and the offspring, by rank and then crowding distance."""
        merged = offspring + population
        platypus.nondominated_sort(merged)
        return platypus.nondominated_truncate(merged, self._size)


class RegularizedEvolution(Selection):
    """Ageing evolution (Real et al. 2019, algorithm 1).

    The youngest solutions survive, and the best of a sample is mutated. With several objectives,
    the best solution is determined by rank, then by crowding distance.
    """

    def survive(self, population: Population, offspring: Population) -> Population:
        """Keep the youngest solutions, in order of age."""
        youngest = (population + offspring)[-self._size :]
        platypus.nondominated_sort(youngest)
        return youngest

    def parents(self, population: Population) -> Population:
        """Select one parent twice, so that crossover changes nothing.

        The parent is the best of a sample of a quarter of the population, as in section 3.3.
        """
        sample = max(2, math.ceil(len(population) / 4))
        return self._hold_tournaments(1, sample, population) * 2


class NoSelection(Selection):
    """Random or complete search: the population stays empty, so no solution has parents."""

    def survive(self, population: Population, offspring: Population) -> Population:
        """Return an empty population."""
        return []


SELECTIONS: dict[str, Callable[[int, np.random.Generator], Selection]] = {
    "nsga2": NSGA2,
    "all": NoSelection,
    "random": NoSelection,
    "regularized_evolution": RegularizedEvolution,
}
"""By ``search.algorithm``."""
