"""Evolution of distinct networks, as ask and tell."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import platypus

from xnas_tf.strategy.problem import SearchProblem
from xnas_tf.strategy.proposal import Proposal
from xnas_tf.strategy.selection import Selection
from xnas_tf.strategy.surrogate import Surrogate
from xnas_tf.strategy.variation import MixedVariation

BRED_TRIES = 100
"""Offspring bred in search of a new network before random ones are drawn."""
RANDOM_TRIES = 1000
"""Random architectures drawn in search of a new one before the rest is counted through."""
COUNTABLE = 1_000_000
"""Largest space that is counted through; a larger one is taken as exhausted when random
tries keep failing."""
PLENTY_BRED, PLENTY_DRAWN = 96, 32
"""Offspring, and random architectures, among which a surrogate chooses."""
LEFT_TO_CHANCE = 0.1
"""Share of the proposals that a surrogate does not choose."""


class Algorithm:
    """What all algorithms have in common; a ``Selection`` makes the difference.

    Several proposals may be open at once, and be answered in any order. Generational: the
    next generation is bred when all of this one is known, whatever the order. Steady state
    (Durillo et al. 2009, section 3): a proposal is bred from all that is known by then.

    Given the same generator and the same answers at the same moments it asks for the same
    architectures, so a search is resumed by asking again and telling from the record. Failed
    and infeasible candidates never enter the population. Architectures that are infeasible, or
    of a network that was proposed before, are never proposed.

    Args:
        problem: The search space and the objectives.
        signs: 1 for each objective that is minimised, -1 for one that is maximised.
        selection: Who survives, and who breeds.
        variation: What children are made of.
        size: Of the population and of each generation's offspring.
        rng: The generator that everything is drawn with.
        steady_state: Whether it is one.
        surrogate: Chooses among many offspring; None: the first new one is proposed.
    """

    def __init__(
        self,
        problem: SearchProblem,
        signs: Sequence[int],
        selection: Selection,
        variation: MixedVariation,
        size: int,
        rng: np.random.Generator,
        steady_state: bool = False,
        surrogate: Surrogate | None = None,
    ) -> None:
        self._problem = problem
        self._space = problem.space
        self._signs = signs
        self._selection = selection
        self._variation = variation
        self._size = size
        self._rng = rng
        self._generator = platypus.RandomGenerator()
        self._surrogate = surrogate
        self._population: list[platypus.Solution] = []
        self._offspring: dict[int, platypus.Solution] = {}
        self.is_steady_state = steady_state
        self._trained = 0
        self._open: dict[int, Proposal] = {}
        self._asked = 0
        self._seen: set[str] = set()
        self._uncounted = self._count_through()
        self._plenty: list[Proposal] = []
        self._picks = 0
        self.generation = 0
        self.duplicates = 0
        """Offspring thrown away because their network had been proposed before."""

    @property
    def can_ask(self) -> bool:
        """Whether enough is known to ask; else an open proposal must be answered first."""
        return self.is_steady_state or self._trained + len(self._open) < self._size

    def ask(self, expected: str | None = None) -> Proposal | None:
        """Proposes a new architecture.

        Args:
            expected: The genotype that was proposed at this moment of a search that is gone on
                with. A surrogate then need not choose: it would have to be fitted again, and
                rounds otherwise on another machine.

        Returns:
            None when no architecture is left.
        """
        if self._offspring and (self.is_steady_state or not self.is_amid_generation):
            self._survive()
            if not self.is_steady_state:
                self._plenty = []
        proposal = self._chosen(expected) or next(self._fresh(), None)
        if proposal is None:
            return None
        self._seen.add(self._space.identity(proposal.hyperparameters))
        self._asked += 1
        proposal.number = self._asked
        proposal.generation = self.generation
        self._open[proposal.number] = proposal
        return proposal

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
        del self._open[proposal.number]
        self._trained += 1
        costs = None
        if objectives is not None:
            costs = [sign * value for sign, value in zip(self._signs, objectives, strict=True)]
            solution = proposal.solution
            solution.candidate = candidate
            solution.objectives[:] = costs
            solution.constraint_violation = violation
            solution.evaluated = True
            self._offspring[proposal.number] = solution
        if self._surrogate:
            self._surrogate.heed(proposal, costs, violation)
        complete = self._trained == self._size
        if complete:
            self._trained = 0
            self.generation += 1
        return complete

    def reject(self, proposal: Proposal) -> None:
        """Hears that a proposal cost no training and has no values: it was infeasible, or a
        network that is known; another takes its place."""
        del self._open[proposal.number]

    @property
    def is_amid_generation(self) -> bool:
        """Whether candidates were told of since the last complete generation."""
        return self._trained > 0

    def _survive(self) -> None:
        """In the order of the proposals, not of the answers."""
        offspring = [self._offspring[number] for number in sorted(self._offspring)]
        self._population = self._selection.survive(self._population, offspring)
        self._offspring = {}

    # Choosing among many

    def _chosen(self, expected: str | None) -> Proposal | None:
        """The most promising of plenty, or now and then any of them."""
        if not (self._surrogate and self._surrogate.is_ready):
            return None
        by_chance = self._rng.random() < LEFT_TO_CHANCE
        if self._picks <= 0 or not self._plenty:
            self._plenty = self._bred_in_plenty()
            self._picks = self._surrogate.begin()
        if not self._plenty:
            return None
        self._picks -= 1
        return self._plenty.pop(0 if by_chance else self._best(expected))

    def _best(self, expected: str | None) -> int:
        for index, proposal in enumerate(self._plenty if expected is not None else ()):
            if proposal.genotype == expected:
                return index
        return self._surrogate.best(self._plenty, list(self._open.values()))

    def _bred_in_plenty(self) -> list[Proposal]:
        """New architectures, different from each other."""
        found: dict[str, Proposal] = {}
        sources = self._bred(PLENTY_BRED), self._drawn(PLENTY_DRAWN)
        for solution, parents in itertools.chain(*sources):
            identity, proposal = self._considered(solution, parents)
            if proposal and identity not in found:
                found[identity] = proposal
                proposal.features = self._surrogate.features(proposal)
        return list(found.values())

    # New architectures

    def _fresh(self) -> Iterator[Proposal]:
        """Bred ones first, then random ones, then, if they can be counted, all the rest."""
        sources = self._bred(BRED_TRIES), self._drawn(RANDOM_TRIES), self._uncounted
        for solution, parents in itertools.chain(*sources):
            _, proposal = self._considered(solution, parents)
            if proposal:
                if self._surrogate:
                    proposal.features = self._surrogate.features(proposal)
                yield proposal

    def _considered(
        self, solution: platypus.Solution, parents: tuple[int, ...]
    ) -> tuple[str, Proposal | None]:
        """The identity of a solution's network, and a proposal if that is new and feasible."""
        values = self._space.simplify(self._problem.values(solution))
        identity = self._space.identity(values)
        if identity in self._seen:
            self.duplicates += bool(parents)
        elif not self._space.infeasible(values):
            genotype = self._space.genotype(values)
            return identity, Proposal(genotype, values, parents, self.generation, solution)
        return identity, None

    def _bred(self, tries: int) -> Iterator[tuple[platypus.Solution, tuple[int, ...]]]:
        """Offspring and the numbers of their parents."""
        if self.generation == 0 or len(self._population) < 2:
            return
        for _ in range(tries):
            parents = self._selection.parents(self._population)
            (child,) = self._variation.evolve(parents)
            yield child, tuple(dict.fromkeys(parent.candidate for parent in parents))

    def _drawn(self, tries: int) -> Iterator[tuple[platypus.Solution, tuple[int, ...]]]:
        for _ in range(tries):
            yield self._generator.generate(self._problem), ()

    def _count_through(self) -> Iterator[tuple[platypus.Solution, tuple[int, ...]]]:
        """All architectures of a countable space, once in the whole search."""
        if self._space.size <= COUNTABLE:
            for places in itertools.product(*(range(v.size) for v in self._space.variables)):
                solution = platypus.Solution(self._problem)
                solution.variables[:] = list(places)
                yield solution, ()
