"""Evolutionary search over distinct networks, with an ask-and-tell interface."""

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

OFFSPRING_TRIES = 100
"""Offspring generated in search of a new network before random architectures are tried."""
RANDOM_TRIES = 1000
"""Random architectures tried before the rest of the space is enumerated."""
MAX_ENUMERATED = 1_000_000
"""Size of the largest space that is enumerated; a larger one counts as exhausted when all
random tries fail."""
POOL_OFFSPRING, POOL_RANDOM = 96, 32
"""Offspring and random architectures generated for the pool that a surrogate chooses from."""
RANDOM_SHARE = 0.1
"""Share of the proposals that are taken from the pool without asking the surrogate."""

Solutions = Iterator[tuple[platypus.Solution, tuple[int, ...]]]
"""Solutions, each with the ids of its parents."""


class Algorithm:
    """Propose architectures and learn from their results; ``selection`` tells algorithms apart.

    Several proposals may be pending at once, and their results may arrive in any order. A
    generational search generates the next generation when all results of the current one are
    known. A steady-state search (Durillo et al. 2009, section 3) generates each proposal from
    all results known at that moment.

    Given the same generator and the same results at the same moments, it proposes the same
    architectures, so a search is resumed by asking again and telling the recorded results.
    Failed and infeasible candidates never enter the population. Infeasible architectures, and
    those whose network was proposed before, are never proposed.

    Args:
        problem: The search space and the objectives.
        signs: 1 for each objective that is minimised, -1 for one that is maximised.
        selection: Survival and parent selection.
        variation: Crossover and mutation.
        size: Size of the population and of each generation's offspring.
        rng: The generator of all random numbers.
        steady_state: Whether the search is steady-state; otherwise it is generational.
        surrogate: Chooses among many offspring. None: the first new one is proposed.
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
        self._told = 0
        """Results since the last complete generation."""
        self._pending: dict[int, Proposal] = {}
        self._asked = 0
        self._seen: set[str] = set()
        self._enumeration = self._enumerate()
        self._pool: list[Proposal] = []
        self._choices_left = 0
        self.generation = 0
        self.duplicates = 0
        """Offspring discarded because their network had been proposed before."""

    @property
    def can_ask(self) -> bool:
        """Whether ``ask`` may be called now; if not, a pending result must be told first."""
        return self.is_steady_state or self._told + len(self._pending) < self._size

    def ask(self, expected: str | None = None) -> Proposal | None:
        """Propose a new architecture.

        Args:
            expected: The genotype proposed at this point before the search was resumed. It
                spares the surrogate a choice, which would need a fit and might differ by
                rounding on another machine.

        Returns:
            The proposal; None when no architecture is left.
        """
        if self._offspring and (self.is_steady_state or not self.is_generation_started):
            self._update_population()
            if not self.is_steady_state:
                self._pool = []
        proposal = self._choose(expected) or next(self._new_proposals(), None)
        if proposal is None:
            return None
        self._seen.add(self._space.identity(proposal.hyperparameters))
        self._asked += 1
        proposal.number = self._asked
        proposal.generation = self.generation
        self._pending[proposal.number] = proposal
        return proposal

    def tell(
        self,
        proposal: Proposal,
        candidate: int,
        objectives: Sequence[float] | None,
        violation: float = 0.0,
    ) -> bool:
        """Record the result of a proposal.

        Args:
            proposal: What ``ask`` returned.
            candidate: Its id, which its offspring list among their parents.
            objectives: Its objective values; None if its training failed.
            violation: Total constraint violation; 0 where all constraints hold.

        Returns:
            Whether this completes a generation: as many results as the population has members.
        """
        del self._pending[proposal.number]
        self._told += 1
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
            self._surrogate.update(proposal, costs, violation)
        complete = self._told == self._size
        if complete:
            self._told = 0
            self.generation += 1
        return complete

    def reject(self, proposal: Proposal) -> None:
        """Drop a proposal that is not evaluated, as it is infeasible or its network is known.

        It does not count in its generation: another proposal takes its place.
        """
        del self._pending[proposal.number]

    @property
    def is_generation_started(self) -> bool:
        """Whether any result has been told since the last complete generation."""
        return self._told > 0

    def _update_population(self) -> None:
        # In the order of the proposals, as results may arrive in any.
        offspring = [self._offspring[number] for number in sorted(self._offspring)]
        self._population = self._selection.survive(self._population, offspring)
        self._offspring = {}

    # Choosing from a pool

    def _choose(self, expected: str | None) -> Proposal | None:
        """Take the most promising proposal from the pool, or at times an arbitrary one."""
        surrogate = self._surrogate
        if not (surrogate and surrogate.is_ready):
            return None
        is_arbitrary = self._rng.random() < RANDOM_SHARE
        if self._choices_left <= 0 or not self._pool:
            self._pool = self._generate_pool(surrogate)
            self._choices_left = surrogate.begin_pool()
        if not self._pool:
            return None
        self._choices_left -= 1
        return self._pool.pop(0 if is_arbitrary else self._best(surrogate, expected))

    def _best(self, surrogate: Surrogate, expected: str | None) -> int:
        if expected is not None:
            for index, proposal in enumerate(self._pool):
                if proposal.genotype == expected:
                    return index
        return surrogate.best(self._pool, list(self._pending.values()))

    def _generate_pool(self, surrogate: Surrogate) -> list[Proposal]:
        """Generate new architectures of distinct networks."""
        pool: dict[str, Proposal] = {}
        solutions = itertools.chain(
            self._generate_offspring(POOL_OFFSPRING), self._sample(POOL_RANDOM)
        )
        for solution, parents in solutions:
            identity, proposal = self._check(solution, parents)
            if proposal and identity not in pool:
                pool[identity] = proposal
                proposal.features = surrogate.features(proposal)
        return list(pool.values())

    # New architectures

    def _new_proposals(self) -> Iterator[Proposal]:
        """Generate offspring first, then random architectures, then enumerate a small space."""
        solutions = itertools.chain(
            self._generate_offspring(OFFSPRING_TRIES),
            self._sample(RANDOM_TRIES),
            self._enumeration,
        )
        for solution, parents in solutions:
            _, proposal = self._check(solution, parents)
            if proposal:
                if self._surrogate:
                    proposal.features = self._surrogate.features(proposal)
                yield proposal

    def _check(
        self, solution: platypus.Solution, parents: tuple[int, ...]
    ) -> tuple[str, Proposal | None]:
        """Return a network's identity, and a proposal if it is new and feasible."""
        values = self._space.simplify(self._problem.values(solution))
        identity = self._space.identity(values)
        if identity in self._seen:
            self.duplicates += bool(parents)
        elif not self._space.infeasible(values):
            genotype = self._space.genotype(values)
            return identity, Proposal(genotype, values, parents, self.generation, solution)
        return identity, None

    def _generate_offspring(self, count: int) -> Solutions:
        if self.generation == 0 or len(self._population) < 2:
            return
        for _ in range(count):
            parents = self._selection.parents(self._population)
            (child,) = self._variation.evolve(parents)
            yield child, tuple(dict.fromkeys(parent.candidate for parent in parents))

    def _sample(self, count: int) -> Solutions:
        for _ in range(count):
            yield self._generator.generate(self._problem), ()

    def _enumerate(self) -> Solutions:
        """Enumerate a small space, once in the whole search."""
        if self._space.size <= MAX_ENUMERATED:
            sizes = [int(variable.size) for variable in self._space.variables]
            for encoded in itertools.product(*map(range, sizes)):
                solution = platypus.Solution(self._problem)
                solution.variables[:] = list(encoded)
                yield solution, ()
