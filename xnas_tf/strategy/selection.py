"""Who survives and who breeds: what tells algorithms apart."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import platypus

from xnas_tf.strategy.ranking import rank


class Selection(Protocol):
    """Costs of solutions are to be minimised; one total constraint violation each."""

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """The population after offspring became known.

        Args:
            population: What this returned last; empty at first.
            offspring: One or more, in the order in which they were proposed.
        """

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Two to breed from, out of a population of two or more."""


class NSGA2:
    """Non-dominated sorting and crowding (Deb et al. 2002, NSGA-II), elitist.

    Args:
        size: Of the population.
        rng: The generator for tournaments.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """See ``Selection``: the best of both by rank, then crowding distance."""
        everyone = offspring + population
        rank(everyone)
        return sorted(everyone, key=_order)[: self._size]

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``: binary tournaments."""
        return [tournament(population, 2, self._rng) for _ in range(2)]


class RegularizedEvolution:
    """The youngest survive, and the best of a sample is mutated (Real et al. 2019, algorithm
    1); the best by rank, then crowding distance, as there are several objectives.

    Args:
        size: Of the population.
        rng: The generator for samples, a quarter of the population as in section 3.3.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """See ``Selection``; the youngest are last."""
        youngest = (population + offspring)[-self._size :]
        rank(youngest)
        return youngest

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``: the same one twice, so that crossover changes nothing."""
        sample = max(2, math.ceil(len(population) / 4))
        return [tournament(population, sample, self._rng)] * 2


class Random:
    """Nobody survives, so that every architecture is drawn at random."""

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """See ``Selection``."""
        return []

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``; never asked for."""
        raise LookupError("a random search breeds nobody")


def tournament(
    population: list[platypus.Solution], size: int, rng: np.random.Generator
) -> platypus.Solution:
    """The best of some drawn at random, by rank, then crowding distance; the first where they
    are equal."""
    drawn = [population[int(index)] for index in rng.integers(len(population), size=size)]
    return min(drawn, key=_order)


def _order(solution: platypus.Solution) -> tuple[int, float]:
    """By rank, then crowding distance: Platypus compares pairs, which takes far longer."""
    return solution.rank, -solution.crowding_distance
