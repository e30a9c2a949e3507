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
"""Subproblems that a solution of MOEA/D may take over: Platypus' default."""


class NSGA3:
    """Non-dominated sorting and reference points (Deb & Jain 2014, NSGA-III).

    Args:
        problem: The problem that solutions are of.
        size: Of the population; at most as many reference points are laid.
        rng: The generator for tournaments and ties.
    """

    def __init__(self, problem: platypus.Problem, size: int, rng: np.random.Generator) -> None:
        self._size = size
        self._rng = rng
        self._platypus = platypus.NSGAIII(problem, _divisions(problem.nobjs, size))

    def survive(
        self, population: list[platypus.Solution], offspring: list[platypus.Solution]
    ) -> list[platypus.Solution]:
        """See ``Selection``."""
        everyone = offspring + population
        rank(everyone)
        with _lent(self._rng):
            return self._platypus._reference_point_truncate(everyone, self._size)

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``: by rank alone in the paper, which leaves ties to chance."""
        return [tournament(population, 2, self._rng) for _ in range(2)]


class SPEA2:
    """Strength and density (Zitzler, Laumanns & Thiele 2001, SPEA2).

    Distances are taken between costs that are scaled to [0, 1], so that no objective counts
    more for its unit.

    Args:
        problem: The problem that solutions are of.
        size: Of the population.
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
        """See ``Selection``."""
        everyone = offspring + population
        if len(everyone) < 3:  # Platypus measures the distance to the second neighbour
            for solution in everyone:
                solution.fitness = 0.0
            return everyone
        twins = self._scaled(everyone)
        self._platypus._assign_fitness(twins)
        for solution, twin in zip(everyone, twins, strict=True):
            solution.fitness = twin.fitness
        return [twin.original for twin in self._platypus._truncate(twins, self._size)]

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``: binary tournaments by fitness."""
        pairs = self._rng.integers(len(population), size=(2, 2))
        return [min((population[i] for i in pair), key=lambda s: s.fitness) for pair in pairs]

    def _scaled(self, solutions: Sequence[platypus.Solution]) -> list[platypus.Solution]:
        costs = np.array([list(solution.objectives) for solution in solutions])
        spans = np.ptp(costs, axis=0)
        rows = (costs - costs.min(axis=0)) / np.where(spans > 0, spans, 1)
        twins = []
        for solution, row in zip(solutions, rows, strict=True):
            twin = platypus.Solution(self._problem)
            twin.objectives[:] = row.tolist()
            twin.constraint_violation = solution.constraint_violation
            twin.original = solution
            twins.append(twin)
        return twins


class EpsMOEA:
    """A population by dominance beside an archive by ε-dominance (Deb, Mohan & Mishra 2003,
    ε-MOEA); one parent of each.

    Args:
        problem: The problem that solutions are of.
        size: Of the population.
        rng: The generator that everything is drawn with.
        epsilons: For each objective the difference that matters.
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
        """See ``Selection``."""
        room = self._size - len(population)
        self._platypus.population = population + offspring[:room]
        with _lent(self._rng):
            for solution in offspring[room:]:
                self._platypus._add_to_population(solution)
        for solution in offspring:
            self._platypus.archive.add(solution)
        rank(self._platypus.population)
        return self._platypus.population

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``."""
        archive = list(self._platypus.archive)
        both = [
            tournament(population, 2, self._rng),
            archive[int(self._rng.integers(len(archive)))],
        ]
        return both[:: 1 if self._rng.random() < 0.5 else -1]


class MOEAD:
    """Decomposition into scalar subproblems (Zhang & Li 2007, MOEA/D), Chebyshev's of costs
    scaled by what is in the population.

    A solution is offered to the neighbours of the subproblem that it is best at (Wang et al.
    2014, MOEA/D-GR), as offspring do not arrive in the order of subproblems here.

    Args:
        problem: The problem that solutions are of.
        size: Of the population; there are at most as many subproblems.
        rng: The generator that everything is drawn with.
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
        """See ``Selection``."""
        weights = self._platypus.weights
        for solution in offspring:
            self._platypus._update_ideal(solution)
        self._scale(population + offspring)
        room = max(0, len(weights) - len(population))
        self._platypus.population = population + offspring[:room]
        with _lent(self._rng):
            for solution in offspring[room:]:
                fit = [self._platypus._calculate_fitness(solution, w) for w in weights]
                neighbours = list(self._neighbours[int(np.argmin(fit))])
                self._platypus._update_solution(solution, neighbours)
        return list(self._platypus.population)

    def parents(self, population: list[platypus.Solution]) -> list[platypus.Solution]:
        """See ``Selection``: a subproblem's own, and mostly that of a neighbour."""
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
    """The most divisions of each axis that make no more than so many reference points."""
    fitting = [d for d in range(1, size + 1) if math.comb(objectives + d - 1, d) <= size]
    return max(fitting, default=1)


def _lent(rng: np.random.Generator) -> AbstractContextManager[None]:
    """Platypus draws from Python's global generator; inside, that is seeded by ours."""
    return own_generator(int(rng.integers(2**63)))
