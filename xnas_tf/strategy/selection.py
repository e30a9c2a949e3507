"""Survival and parent selection, in which algorithms differ."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
import platypus

from xnas_tf.utils.randomness import own_generator


class Selection(Protocol):
    """Select survivors and parents.

    Solutions hold costs to be minimised and one total constraint violation.
    """

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Return the population that follows when the results of offspring are known.

        Args:
            population: What this returned last; empty at first.
            offspring: One or more, in the order in which they were proposed.
        """

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Return two parents from a population of two or more."""


class CrowdedComparison(platypus.Dominance):
    """Prefer the lower rank, then the larger crowding distance (Deb et al. 2002, section III-B)."""

    def compare(self, solution1: platypus.Solution, solution2: platypus.Solution) -> int:
        """Return -1 if the first is better, 1 if the second is, 0 if neither is."""
        return platypus.nondominated_sort_cmp(solution1, solution2)


class NSGA2:
    """Non-dominated sorting and crowding (Deb et al. 2002, NSGA-II), elitist, by Platypus.

    Args:
        size: Population size.
        rng: The generator for tournaments.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._selector = platypus.TournamentSelector(2, CrowdedComparison())

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Keep the best of both by rank, then crowding distance."""
        merged = offspring + population
        platypus.nondominated_sort(merged)
        return platypus.nondominated_truncate(merged, self._size)

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select by binary tournaments."""
        with _seeded(self._rng):
            return self._selector.select(2, population)


class RegularizedEvolution:
    """Ageing evolution (Real et al. 2019, algorithm 1).

    The youngest survive, and the best of a sample is mutated. As there are several objectives,
    the best is determined by rank, then crowding distance.

    Args:
        size: Population size.
        rng: The generator for samples, a quarter of the population as in section 3.3.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Keep the youngest, in the order of their age."""
        youngest = (population + offspring)[-self._size :]
        platypus.nondominated_sort(youngest)
        return youngest

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select one parent twice, so that crossover changes nothing."""
        sample = max(2, math.ceil(len(population) / 4))
        selector = platypus.TournamentSelector(sample, CrowdedComparison())
        with _seeded(self._rng):
            return selector.select(1, population) * 2


class Random:
    """Random search: the population stays empty, so every architecture is sampled."""

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Return an empty population."""
        return []

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Raise an error: never called, as the population is empty."""
        raise LookupError("a random search has no parents")


def _seeded(rng: np.random.Generator) -> AbstractContextManager[None]:
    """Seed Python's global generator, which Platypus draws from, with the search's own."""
    return own_generator(int(rng.integers(2**63)))
