"""Algorithms from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xnas_tf.spaces.base import Space
from xnas_tf.strategy.algorithm import Algorithm
from xnas_tf.strategy.options import SearchOptions
from xnas_tf.strategy.problem import SearchProblem
from xnas_tf.strategy.selection import NSGA2, Random, RegularizedEvolution, Selection
from xnas_tf.strategy.surrogate import Costs, Surrogate, no_costs
from xnas_tf.strategy.variation import MixedVariation

SELECTIONS: dict[str, Callable[[int, np.random.Generator], Selection]] = {
    "nsga2": NSGA2,
    "random": lambda size, rng: Random(),
    "regularized_evolution": RegularizedEvolution,
}
"""By ``search.algorithm``: makes the selection from the population size and the generator."""


def create(
    search: SearchOptions,
    objectives: Mapping[str, str],
    space: Space,
    steady_state: bool,
    costs: Costs = no_costs,
) -> Algorithm:
    """Create the algorithm that a configuration describes, in its initial state.

    Args:
        search: The ``search`` section of the configuration.
        objectives: ``minimize`` or ``maximize`` by name.
        space: The search space.
        steady_state: Whether the search is steady-state; otherwise it is generational.
        costs: Computes for a surrogate the costs that need no training.
    """
    names, rng = list(objectives), np.random.default_rng(search.seed)
    problem = SearchProblem(space, len(names), rng)
    signs = [-1 if direction == "maximize" else 1 for direction in objectives.values()]
    reference = [
        s * search.reference[n] for s, n in zip(signs, names, strict=True) if search.reference
    ]
    return Algorithm(
        problem,
        signs,
        SELECTIONS[search.algorithm](search.population, rng),
        MixedVariation(rng, search.crossover, search.mutation),
        search.population,
        rng,
        steady_state,
        Surrogate(space, len(names), costs, reference or None) if search.surrogate else None,
    )
