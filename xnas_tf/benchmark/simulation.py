"""Runs one search on a table, with simulated training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xnas_tf.benchmark.other_packages import BASELINES
from xnas_tf.benchmark.problem import Problem, SimulatedTraining
from xnas_tf.config import Config, load_config
from xnas_tf.errors import InputError, suggest
from xnas_tf.spaces.base import Space
from xnas_tf.spaces.cells import (
    EDGES,
    OPERATIONS,
    format_genotype,
    live_edges,
    network_of,
    path_counts,
    plain,
)
from xnas_tf.spaces.variables import Choice
from xnas_tf.strategy import Algorithm
from xnas_tf.strategy.selection import SELECTIONS

WITH_SURROGATE = "+surrogate"
OWN_ALGORITHMS = tuple(
    name + suffix
    for name in SELECTIONS
    for suffix in ("", WITH_SURROGATE)
    # As in publications, "random" samples cells, not networks.
    if name != "all" and name + suffix not in BASELINES
)
CHANGEABLE = tuple(f"search.{key}" for key in ("population", "crossover", "mutation", "mode"))
"""Keys that can be overridden; the others are determined by the options, or have no effect."""


class CellSpace(Space):
    """The cells of NAS-Bench-201 as a search space without networks.

    Args:
        rows: The row of each cell in the table, by genotype.
    """

    variables = tuple(Choice(edge, OPERATIONS) for edge in EDGES)
    size = len(OPERATIONS) ** len(EDGES)

    def __init__(self, rows: Mapping[str, int]) -> None:
        self._rows = rows

    def genotype(self, values: Mapping[str, Any]) -> str:
        """Return the genotype string of a cell."""
        return format_genotype(values)

    def simplify(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the cell without its dead edges if the table contains this simplified cell."""
        simplified = plain(values)
        return simplified if format_genotype(simplified) in self._rows else values

    def identity(self, values: Mapping[str, Any]) -> str:
        """Return the canonical form of a cell's network."""
        return network_of(values)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Return why a cell cannot be trained; None if it can."""
        if not live_edges(values):
            return "the cell has no path from its input to its output"
        return None if self.genotype(values) in self._rows else "the cell is not in the table"

    def features(self, values: Mapping[str, Any]) -> list[float]:
        """Return the number of operations of each kind on each path."""
        return path_counts(values)


def create_algorithm(name: str, seed: int, problem: Problem, overrides: Iterable[str]) -> Algorithm:
    """Create one of ``OWN_ALGORITHMS``, with ``KEY=VALUE`` overrides of ``CHANGEABLE`` keys."""
    for text in overrides:
        if (key := text.partition("=")[0]) not in CHANGEABLE:
            raise InputError(f"--set {text}: given {suggest(key, CHANGEABLE)}")
    search = load_config(Config(), overrides).search.model_copy(
        update={
            "algorithm": name.removesuffix(WITH_SURROGATE),
            "surrogate": name.endswith(WITH_SURROGATE),
            "seed": seed,
            "reference": problem.given_reference,
        }
    )
    directions = dict.fromkeys(problem.objectives, "minimize")  # of costs
    is_steady_state = search.mode == "steady_state"
    space = CellSpace(problem.rows)
    return Algorithm(search, directions, space, is_steady_state, problem.known_costs)


def run_search(
    problem: Problem, name: str, seed: int, trainings: int, overrides: Iterable[str]
) -> np.ndarray:
    """Search a table with one of ``OWN_ALGORITHMS`` or ``BASELINES``.

    Returns:
        Share of the table's hypervolume found after each training run, (trainings,). If the search
        ends early, its last share is repeated.
    """
    simulation = SimulatedTraining(problem, trainings)
    if name in BASELINES:
        BASELINES[name](simulation, seed)
    else:
        search = create_algorithm(name, seed, problem, overrides)
        while not simulation.is_over and (proposal := search.ask()):
            search.tell(proposal, proposal.number, simulation.train(proposal.genotype).tolist())
    shares = simulation.shares
    last = shares[-1] if shares else 0.0
    return np.array(shares + [last] * (trainings - len(shares)))
