"""Evolutionary search over distinct networks, with an ask-and-tell interface."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import platypus

from xnas_tf.errors import InputError
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.variables import decode
from xnas_tf.strategy.enumeration import enumerate_space, listed_networks
from xnas_tf.strategy.options import SearchOptions
from xnas_tf.strategy.proposal import Proposal
from xnas_tf.strategy.selection import SELECTIONS
from xnas_tf.strategy.variation import Variation

if TYPE_CHECKING:
    from xnas_tf.strategy.surrogate import Costs, Surrogate

OFFSPRING_TRIES = 100
"""Number of offspring generated to find a new network before random architectures are tried."""
RANDOM_TRIES = 1000
"""Number of random architectures tried before the rest of the space is enumerated. If the space is
too large for that, it counts as exhausted when all random tries fail."""
POOL_OFFSPRING, POOL_RANDOM = 96, 32
"""Number of offspring and random architectures in the pool from which a surrogate chooses."""
RANDOM_SHARE = 0.1
"""Share of the proposals that are taken from the pool without using the surrogate."""

Solutions = Iterator[tuple[platypus.Solution, tuple[int, ...]]]
"""Solutions, each with the ids of its parents."""


class Algorithm:
    """Search that proposes architectures and learns from results. Algorithms differ in selection.

    Several proposals may be pending at once, and their results may arrive in any order. A
    generational search creates the next generation once all results of the current one are known. A
    steady-state search (Durillo et al. 2009, section 3) generates each proposal from all results
    known at that moment.

    The same seed and the same results at the same points give the same proposals, so a search is
    resumed by asking it again and telling it the recorded results. Failed and infeasible candidates
    never enter the population. Infeasible architectures and known networks are never proposed.

    Args:
        search: The ``search`` section of the configuration.
        objectives: ``minimize`` or ``maximize``, by objective name.
        space: The search space.
        steady_state: Whether the search is steady-state; otherwise it is generational.
        costs: Computes the costs that need no training, for use by a surrogate.
    """

    def __init__(
        self,
        search: SearchOptions,
        objectives: Mapping[str, str],
        space: Space,
        steady_state: bool,
        costs: Costs = lambda _: {},
    ) -> None:
        self._rng = np.random.default_rng(search.seed)
        self._space = space
        self._problem = platypus.Problem(len(space.variables), len(objectives), nconstrs=1)
        self._signs = [-1 if direction == "maximize" else 1 for direction in objectives.values()]
        self._size = search.population
        self._selection = SELECTIONS[search.algorithm](self._size, self._rng)
        self._variation = Variation(space.variables, self._rng, search.crossover, search.mutation)
        self._surrogate: Surrogate | None = None
        if search.surrogate:
            from xnas_tf.strategy.surrogate import Surrogate  # noqa: PLC0415 - heavy: scikit-learn

            pairs = zip(self._signs, objectives, strict=True)
            reference = [sign * search.reference[n] for sign, n in pairs if search.reference]
            self._surrogate = Surrogate(space, len(objectives), costs, reference)
        self.is_steady_state = steady_state
        self._population: list[platypus.Solution] = []
        self._offspring: dict[int, platypus.Solution] = {}
        self._told = 0  # results since the last complete generation
        self._pending: dict[int, Proposal] = {}
        self._asked = 0
        self._seen: set[str] = set()
        self._genotypes: set[str] = set()
        self._enumeration = self._new((self._solution(each), ()) for each in enumerate_space(space))
        self._networks = self._unseen(search) if search.algorithm == "all" else None
        self._pool: list[Proposal] = []
        self._choices_left = 0
        self.generation = 0
        self.duplicates = 0
        """Offspring discarded because their network had been proposed before."""

    @property
    def can_ask(self) -> bool:
        """Whether ``ask`` may be called now; if not, a pending result must be reported first."""
        return self.is_steady_state or self._told + len(self._pending) < self._size

    @property
    def is_generation_started(self) -> bool:
        """Whether any results have been reported since the last complete generation."""
        return self._told > 0

    def ask(self, expected: str | None = None) -> Proposal | None:
        """Propose a new architecture; return None when no architecture is left.

        Args:
            expected: The genotype proposed at this point before the search was resumed. The
                surrogate is then not used, since rounding might change its choice elsewhere.

        Raises:
            InputError: If the proposal's genotype belongs to another network, too.
        """
        if self._offspring and (self.is_steady_state or not self.is_generation_started):
            self._update_population()
        proposal = self._choose(expected) or next(self._new_proposals(), None)
        if proposal is None:
            return None
        if proposal.genotype in self._genotypes:
            raise InputError(
                f"the search space's genotype() returns {proposal.genotype!r} for two networks "
                "that its identity() tells apart; allowed: a different text for each of them"
            )
        self._seen.add(proposal.identity)
        self._genotypes.add(proposal.genotype)
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
        """Record the result of a proposal; return whether it completes a generation.

        Args:
            proposal: The return value of ``ask``.
            candidate: Id of the candidate, which its offspring will list as a parent.
            objectives: Objective values of the candidate; None if its training failed.
            violation: Total constraint violation; 0 if all constraints hold.
        """
        del self._pending[proposal.number]
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
        complete, self._told = divmod(self._told + 1, self._size)
        self.generation += complete
        return bool(complete)

    def reject(self, proposal: Proposal) -> None:
        """Drop an infeasible or known proposal; another one takes its place in its generation."""
        del self._pending[proposal.number]

    def _update_population(self) -> None:
        # Sorted by proposal, since results may arrive in any order.
        offspring = [self._offspring[number] for number in sorted(self._offspring)]
        self._population = self._selection.survive(self._population, offspring)
        self._offspring = {}
        if not self.is_steady_state:
            self._pool = []

    def _choose(self, expected: str | None) -> Proposal | None:
        """Take the most promising proposal from the pool, or occasionally an arbitrary one."""
        surrogate = self._surrogate
        if not (surrogate and surrogate.is_ready):
            return None
        is_arbitrary = self._rng.random() < RANDOM_SHARE
        if self._choices_left <= 0 or not self._pool:
            self._generate_pool()
            self._choices_left = surrogate.begin_pool()
        if not self._pool:
            return None
        self._choices_left -= 1
        genotypes = [proposal.genotype for proposal in self._pool]
        if is_arbitrary:
            index = 0
        elif expected in genotypes:
            index = genotypes.index(expected)
        else:
            index = surrogate.best(self._pool, list(self._pending.values()))
        return self._pool.pop(index)

    def _generate_pool(self) -> None:
        """Generate new architectures, each with a different network."""
        pool: dict[str, Proposal] = {}
        offspring, random = self._generate_offspring(POOL_OFFSPRING), self._sample(POOL_RANDOM)
        for proposal in self._new(itertools.chain(offspring, random)):
            pool.setdefault(proposal.identity, proposal)
        self._pool = list(pool.values())

    def _new_proposals(self) -> Iterator[Proposal]:
        """Generate offspring, then random architectures; finally, enumerate a small space."""
        if self._networks:
            return self._networks
        offspring, random = self._generate_offspring(OFFSPRING_TRIES), self._sample(RANDOM_TRIES)
        return itertools.chain(self._new(itertools.chain(offspring, random)), self._enumeration)

    def _unseen(self, search: SearchOptions) -> Iterator[Proposal]:
        """Enumerate the space's distinct networks, or the given ones, without the skipped ones."""
        listed = listed_networks(search.networks, self._space)
        number = 0
        for proposal in self._enumeration:
            self._seen.add(proposal.identity)
            if not listed or proposal.identity in listed:
                number += 1
                if number > search.skip:
                    yield proposal

    def _new(self, solutions: Solutions) -> Iterator[Proposal]:
        """Yield the feasible solutions whose networks were not proposed before."""
        for solution, parents in solutions:
            values = decode(self._space.variables, solution.variables[:])
            values = self._space.simplify(values)
            identity = self._space.identity(values)
            if identity in self._seen:
                self.duplicates += bool(parents)
            elif not self._space.infeasible(values):
                genotype = self._space.genotype(values)
                proposal = Proposal(genotype, identity, values, parents, solution)
                if self._surrogate:
                    proposal.features = self._surrogate.features(proposal)
                yield proposal

    def _generate_offspring(self, count: int) -> Solutions:
        if self.generation == 0 or len(self._population) < 2:
            return
        for _ in range(count):
            parents = self._selection.parents(self._population)
            child = self._variation.evolve(*(parent.variables[:] for parent in parents))
            yield self._solution(child), tuple(dict.fromkeys(p.candidate for p in parents))

    def _sample(self, count: int) -> Solutions:
        for _ in range(count):
            yield self._solution(v.sample(self._rng) for v in self._space.variables), ()

    def _solution(self, encoded: Iterable[Any]) -> platypus.Solution:
        solution = platypus.Solution(self._problem)
        solution.variables[:] = list(encoded)
        return solution
