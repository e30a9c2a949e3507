"""NSGA-II (Deb et al. 2002) on Platypus, as ask and tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import platypus

from xnas_tf.config import Config
from xnas_tf.strategy.problem import SearchProblem, Space
from xnas_tf.strategy.ranking import rank
from xnas_tf.strategy.variation import MixedVariation, Tournament

BRED_TRIES = 100
"""Offspring bred in search of a new genotype before random ones are drawn."""
RANDOM_TRIES = 1000
"""Random genotypes drawn in search of a new one before the rest is counted through."""
COUNTABLE = 1_000_000
"""Largest space that is counted through; a larger one is taken as exhausted when random
tries keep failing."""


@dataclass
class Proposal:
    """A new architecture, never proposed before in this run; ``number`` counts them."""

    genotype: str
    hyperparameters: dict[str, Any]
    parents: tuple[int, ...]
    generation: int
    number: int
    solution: platypus.Solution


class NSGA2:
    """Elitist non-dominated sorting over distinct genotypes.

    Several proposals may be open at once, and be answered in any order. Generational: the
    next generation is bred when all of this one is known, whatever the order. Steady state
    (Durillo et al. 2009, section 3): a proposal is bred from all that is known by then.

    Given the same generator and the same answers at the same moments it asks for the same
    architectures, so a search is resumed by asking again and telling from the record. Failed
    and infeasible candidates never enter the population.

    Args:
        space: The search space.
        directions: ``minimize`` or ``maximize`` for each objective.
        population: Size of the population and of each generation's offspring.
        rng: The generator that everything is drawn with.
        crossover: See ``MixedVariation``; ``mutation`` likewise.
        steady_state: Whether it is one.
    """

    def __init__(
        self,
        space: Space,
        directions: Sequence[str],
        population: int,
        rng: np.random.Generator,
        crossover: float = 0.9,
        mutation: float | None = None,
        steady_state: bool = False,
    ) -> None:
        self._space = space
        self._problem = SearchProblem(space, directions, rng)
        self._size = population
        self._rng = rng
        self._selector = Tournament(rng)
        self._variator = MixedVariation(rng, crossover, mutation)
        self._generator = platypus.RandomGenerator()
        self._population: list[platypus.Solution] = []
        self._offspring: dict[int, platypus.Solution] = {}
        self.is_steady_state = steady_state
        self._trained = 0
        self._open = 0
        self._asked = 0
        self._seen: set[str] = set()
        self.generation = 0
        self.duplicates = 0
        """Offspring thrown away because their genotype had been proposed before."""

    @classmethod
    def from_config(cls, config: Config, space: Space, steady_state: bool) -> NSGA2:
        """The algorithm that a configuration describes, at its start."""
        search = config.search
        return cls(
            space,
            [objective.direction for objective in config.objectives],
            search.population,
            np.random.default_rng(search.seed),
            search.crossover,
            search.mutation,
            steady_state,
        )

    @property
    def can_ask(self) -> bool:
        """Whether enough is known to ask; else an open proposal must be answered first."""
        return self.is_steady_state or self._trained + self._open < self._size

    def ask(self) -> Proposal | None:
        """Proposes a new architecture; None when none is left."""
        if self._offspring and (self.is_steady_state or not self.is_amid_generation):
            self._survive()
        for solution, parents in self._candidates():
            values = self._problem.values(solution)
            genotype = self._space.genotype(values)
            if genotype not in self._seen:
                self._seen.add(genotype)
                self._open += 1
                self._asked += 1
                return Proposal(genotype, values, parents, self.generation, self._asked, solution)
            self.duplicates += bool(parents)
        return None

    def tell(
        self, proposal: Proposal, candidate: int, objectives: Sequence[float] | None, violation=0.0
    ) -> bool:
        """Hears how a proposal did.

        Args:
            proposal: What ``ask`` returned.
            candidate: Its number, by which its children name it.
            objectives: Their values; None if its training failed.
            violation: Total constraint violation, 0 where all constraints hold.

        Returns:
            Whether this completed a generation: as many answers as the population is large.
        """
        self._open -= 1
        self._trained += 1
        if objectives is not None:
            solution = proposal.solution
            solution.candidate = candidate
            solution.objectives[:] = list(objectives)
            solution.constraint_violation = violation
            solution.evaluated = True
            self._offspring[proposal.number] = solution
        complete = self._trained == self._size
        if complete:
            self._trained = 0
            self.generation += 1
        return complete

    def reject(self, proposal: Proposal) -> None:
        """Hears that a proposal was infeasible and cost no training; another takes its place."""
        self._open -= 1

    @property
    def is_amid_generation(self) -> bool:
        """Whether candidates were told of since the last complete generation."""
        return self._trained > 0

    def _survive(self) -> None:
        """The best of parents and offspring, in the order of the proposals, not the answers."""
        offspring = [self._offspring[number] for number in sorted(self._offspring)]
        everyone = offspring + self._population
        rank(everyone)
        self._population = platypus.nondominated_truncate(everyone, self._size)
        self._offspring = {}

    def _candidates(self) -> Iterator[tuple[platypus.Solution, tuple[int, ...]]]:
        """Bred ones first, then random ones, then, if they can be counted, all the rest."""
        if self.generation > 0 and len(self._population) >= 2:
            for _ in range(BRED_TRIES):
                parents = self._selector.select(self._variator.arity, self._population)
                (child,) = self._variator.evolve(parents)
                yield child, tuple(dict.fromkeys(parent.candidate for parent in parents))
        for _ in range(RANDOM_TRIES):
            yield self._generator.generate(self._problem), ()
        if self._space.size <= COUNTABLE:
            for places in itertools.product(*(range(v.size) for v in self._space.variables)):
                solution = platypus.Solution(self._problem)
                solution.variables[:] = list(places)
                yield solution, ()
