"""Survival and parent selection, in which algorithms differ."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import platypus

from xnas_tf.strategy.ranking import rank


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


class NSGA2:
    """Non-dominated sorting and crowding (Deb et al. 2002, NSGA-II), elitist.

    Args:
        size: Population size.
        rng: The generator for tournaments.
    """

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Keep the best of both by rank, then crowding distance."""
        merged = offspring + population
        rank(merged)
        return sorted(merged, key=_order)[: self._size]

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select by binary tournaments."""
        return [tournament(population, 2, self._rng) for _ in range(2)]


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
        rank(youngest)
        return youngest

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select one parent twice, so that crossover changes nothing."""
        sample = max(2, math.ceil(len(population) / 4))
        return [tournament(population, sample, self._rng)] * 2


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


def tournament(
    population: list[platypus.Solution], size: int, rng: np.random.Generator
) -> platypus.Solution:
    """Return the best of a random sample by rank, then crowding distance.

    Ties go to the one sampled first.
    """
    sample = [population[int(index)] for index in rng.integers(len(population), size=size)]
    return min(sample, key=_order)


def _order(solution: platypus.Solution) -> tuple[int, float]:
    """Return a sort key: Platypus compares pairs, which takes far longer."""
    return solution.rank, -solution.crowding_distance
