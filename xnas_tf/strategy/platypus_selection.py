"""Selection of NSGA-III, MOEA/D, SPEA2 and ε-MOEA, by Platypus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
import platypus

from xnas_tf.strategy.ranking import rank
from xnas_tf.strategy.selection import tournament
from xnas_tf.utils.randomness import own_generator

NEIGHBOURS = 10
"""Size of a neighbourhood of MOEA/D's subproblems: Platypus' default."""


class NSGA3:
    """Non-dominated sorting and reference points (Deb & Jain 2014, NSGA-III).

    Args:
        problem: The problem of the solutions.
        size: Population size; there are at most as many reference points.
        rng: The generator for tournaments and ties.
    """

    def __init__(self, problem: platypus.Problem, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._platypus = platypus.NSGAIII(problem, _divisions(problem.nobjs, size))

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Keep the best by rank, then by distance to the reference points."""
        merged = offspring + population
        rank(merged)
        with _seeded(self._rng):
            return self._platypus._reference_point_truncate(merged, self._size)

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select by binary tournaments; the paper breaks ties of rank at random."""
        return [tournament(population, 2, self._rng) for _ in range(2)]


class SPEA2:
    """Strength and density (Zitzler, Laumanns & Thiele 2001, SPEA2).

    Distances are measured between costs scaled to [0, 1], so that the units of the objectives do
    not matter.

    Args:
        problem: The problem of the solutions.
        size: Population size.
        rng: The generator for tournaments.
    """

    def __init__(self, problem: platypus.Problem, size: int, rng: np.random.Generator) -> None:
        self._problem = problem
        self._size = size
        self._rng = rng
        self._platypus = platypus.SPEA2(problem, size)

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Keep the best by strength and density; set the ``fitness`` of all."""
        merged = offspring + population
        if len(merged) < 3:  # Platypus needs the distance to the second neighbour
            for solution in merged:
                solution.fitness = 0.0
            return merged
        copies = self._scaled_copies(merged)
        self._platypus._assign_fitness(copies)
        for solution, copy in zip(merged, copies, strict=True):
            solution.fitness = copy.fitness
        return [copy.original for copy in self._platypus._truncate(copies, self._size)]

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select by binary tournaments by fitness."""
        pairs = self._rng.integers(len(population), size=(2, 2))
        return [min((population[i] for i in pair), key=lambda s: s.fitness) for pair in pairs]

    def _scaled_copies(self, solutions: Sequence[platypus.Solution]) -> list[platypus.Solution]:
        costs = np.array([list(solution.objectives) for solution in solutions])
        spans = np.ptp(costs, axis=0)
        rows = (costs - costs.min(axis=0)) / np.where(spans > 0, spans, 1)
        copies = []
        for solution, row in zip(solutions, rows, strict=True):
            copy = platypus.Solution(self._problem)
            copy.objectives[:] = row.tolist()
            copy.constraint_violation = solution.constraint_violation
            copy.original = solution
            copies.append(copy)
        return copies


class EpsMOEA:
    """A population by dominance and an archive by ε-dominance (Deb, Mohan & Mishra 2003, ε-MOEA).

    One parent comes from each.

    Args:
        problem: The problem of the solutions.
        size: Population size.
        rng: The generator of all random numbers.
        epsilons: For each objective the smallest difference that matters.
    """

    def __init__(
        self,
        problem: platypus.Problem,
        size: int,
        rng: np.random.Generator,
        epsilons: Sequence[float],
    ) -> None:
        self._size = size
        self._rng = rng
        self._platypus = platypus.EpsMOEA(problem, list(epsilons), size)

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Fill the population, then add by dominance; add all to the archive."""
        vacancies = self._size - len(population)
        self._platypus.population = population + offspring[:vacancies]
        with _seeded(self._rng):
            for solution in offspring[vacancies:]:
                self._platypus._add_to_population(solution)
        for solution in offspring:
            self._platypus.archive.add(solution)
        rank(self._platypus.population)
        return self._platypus.population

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select one from the population and one from the archive, in random order."""
        archive = list(self._platypus.archive)
        parents = [
            tournament(population, 2, self._rng),
            archive[int(self._rng.integers(len(archive)))],
        ]
        return parents[:: 1 if self._rng.random() < 0.5 else -1]


class MOEAD:
    """Decomposition into scalar subproblems (Zhang & Li 2007, MOEA/D).

    Subproblems are Chebyshev scalarisations of costs scaled by the span of the population. A
    solution may replace those of the neighbours of the subproblem it solves best (Wang et al.
    2014, MOEA/D-GR), as offspring do not arrive in the order of the subproblems here.

    Args:
        problem: The problem of the solutions.
        size: Population size; there are at most as many subproblems.
        rng: The generator of all random numbers.
    """

    def __init__(self, problem: platypus.Problem, size: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._platypus = platypus.MOEAD(
            problem,
            NEIGHBOURS,
            weight_generator=platypus.normal_boundary_weights,
            divisions_outer=_divisions(problem.nobjs, size),
            scalarizing_function=self._chebyshev,
        )
        weights = platypus.normal_boundary_weights(problem.nobjs, _divisions(problem.nobjs, size))
        self._platypus.weights = weights
        self._platypus.ideal_point = [math.inf] * problem.nobjs
        self._neighbours = [self._platypus._sort_weights(w, weights)[:NEIGHBOURS] for w in weights]
        self._spans = np.ones(problem.nobjs)

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """Fill the population, then let each other solution replace worse neighbours."""
        weights = self._platypus.weights
        for solution in offspring:
            self._platypus._update_ideal(solution)
        self._scale(population + offspring)
        vacancies = max(0, len(weights) - len(population))
        self._platypus.population = population + offspring[:vacancies]
        with _seeded(self._rng):
            for solution in offspring[vacancies:]:
                fitness = [self._platypus._calculate_fitness(solution, w) for w in weights]
                neighbours = list(self._neighbours[int(np.argmin(fitness))])
                self._platypus._update_solution(solution, neighbours)
        return list(self._platypus.population)

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """Select the solution of a random subproblem, and mostly that of a neighbour."""
        index = int(self._rng.integers(len(population)))
        is_near = self._rng.random() < self._platypus.delta
        mates = [i for i in self._neighbours[index] if i < len(population) and i != index]
        if not (is_near and mates):
            mates = [i for i in range(len(population)) if i != index]
        return [population[index], population[mates[int(self._rng.integers(len(mates)))]]]

    def _scale(self, solutions: Sequence[platypus.Solution]) -> None:
        spans = np.ptp(np.array([list(solution.objectives) for solution in solutions]), axis=0)
        self._spans = np.where(spans > 0, spans, 1)

    def _chebyshev(
        self, solution: platypus.Solution, ideal: list[float], weights: list[float]
    ) -> float:
        gaps = (np.array(list(solution.objectives)) - ideal) / self._spans
        return float((np.maximum(weights, 1e-4) * gaps).max())


def _divisions(objectives: int, size: int) -> int:
    """Return the largest number of divisions of each axis with at most ``size`` points."""
    fitting = [d for d in range(1, size + 1) if math.comb(objectives + d - 1, d) <= size]
    return max(fitting, default=1)


def _seeded(rng: np.random.Generator) -> AbstractContextManager[None]:
    """Seed Python's global generator, which Platypus uses, from the search's."""
    return own_generator(int(rng.integers(2**63)))
