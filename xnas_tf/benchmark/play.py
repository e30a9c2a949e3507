"""One search on a table: known results in place of trainings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xnas_tf.benchmark.peers import PEERS
from xnas_tf.benchmark.problem import Problem
from xnas_tf.config import Config, load_config
from xnas_tf.errors import InputError
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
from xnas_tf.strategy import SELECTIONS, Algorithm, create

WITH_SURROGATE = "+surrogate"
OURS = tuple(
    name + suffix
    for name in SELECTIONS
    for suffix in ("", WITH_SURROGATE)
    if name + suffix not in PEERS  # random: cells, not networks, as published baselines have it
)
FIXED = tuple(
    f"search.{key}"
    for key in ("algorithm", "surrogate", "seed", "candidates", "reference", "epsilons")
)
PATIENCE = 100
"""Asks without a new cell, in a row, after which a search is ended on a table of all cells; more
in proportion where cells are missing. In 600 trainings pymoo comes to 3, Optuna's NSGA-II to
fewer than 100, its TPE to 131 after 150: from there on it repeats itself."""


class Game:
    """Answers a search, and keeps what it has found.

    A training is a distinct cell that the search asks for; asking again costs nothing.

    Args:
        problem: The table and its objectives.
        trainings: How many the search may have.
    """

    def __init__(self, problem: Problem, trainings: int) -> None:
        self.problem = problem
        self._goal = min(trainings, len(problem.rows))
        self._patience = PATIENCE * CellSpace.size / len(problem.rows)
        self._idle = 0
        self._trained: set[int] = set()
        self._front = np.empty((0, len(problem.objectives)))
        self.shares: list[float] = []
        """Share of the table's hypervolume that was found, after each training."""

    @property
    def is_over(self) -> bool:
        """Whether the search has had its trainings, or asks for nothing new any more."""
        return len(self.shares) >= self._goal or self._idle >= self._patience

    def train(self, genotype: str) -> np.ndarray:
        """The costs (objectives,) of a cell; the worst of all for one that is not in the table,
        which costs no training."""
        self._idle += 1
        row = self.problem.rows.get(genotype)
        if row is None:
            return self.problem.costs.max(axis=0)
        if row not in self._trained and len(self.shares) < self._goal:
            self._idle = 0
            self._trained.add(row)
            self._add(self.problem.costs[row])
        return self.problem.costs[row]

    def _add(self, costs: np.ndarray) -> None:
        known = self.shares[-1] if self.shares else 0.0
        if not (costs < self.problem.reference).all() or (self._front <= costs).all(axis=1).any():
            self.shares.append(known)
            return
        kept = self._front[~(costs <= self._front).all(axis=1)]
        self._front = np.vstack([kept, costs])
        self.shares.append(self.problem.share(self._front))


class CellSpace(Space):
    """NAS-Bench-201's cells as a search space without networks.

    Args:
        rows: Cells that are in the table, by genotype.
    """

    variables = tuple(Choice(edge, OPERATIONS) for edge in EDGES)
    size = len(OPERATIONS) ** len(EDGES)

    def __init__(self, rows: Mapping[str, int]) -> None:
        self._rows = rows

    def genotype(self, values: Mapping[str, Any]) -> str:
        """The genotype string of a cell."""
        return format_genotype(values)

    def simplify(self, values: dict[str, Any]) -> dict[str, Any]:
        """The cell without its dead edges, if the table has that."""
        plainest = plain(values)
        return plainest if format_genotype(plainest) in self._rows else values

    def identity(self, values: Mapping[str, Any]) -> str:
        """The network that a cell stands for."""
        return network_of(values)

    def infeasible(self, values: Mapping[str, Any]) -> str | None:
        """Why a cell cannot be trained, known before it is tried; None if it can be."""
        if not live_edges(values):
            return "the cell has no path from its input to its output"
        return None if self.genotype(values) in self._rows else "the cell is not in the table"

    def features(self, values: Mapping[str, Any]) -> list[float]:
        """The operations on each path."""
        return path_counts(values)


def algorithm(name: str, seed: int, problem: Problem, overrides: Iterable[str]) -> Algorithm:
    """One of our own algorithms, as the ``search`` section of a configuration makes it.

    Args:
        name: One of ``OURS``.
        seed: Of the search.
        problem: The table to be searched; its costs are to be minimised.
        overrides: Texts ``search.key=value``.

    Raises:
        InputError: If an override is wrong.
    """
    for text in overrides:
        key = text.partition("=")[0]
        if not key.startswith("search.") or key in FIXED:
            raise InputError(
                f"--set {text!r}: allowed: keys of search, but not {', '.join(FIXED)}: options "
                "and the table say these"
            )
    search = load_config(Config(), overrides).search.model_copy(
        update={
            "algorithm": name.removesuffix(WITH_SURROGATE),
            "surrogate": name.endswith(WITH_SURROGATE),
            "seed": seed,
            "reference": problem.given_reference,
            "epsilons": dict(zip(problem.objectives, _epsilons(problem), strict=True)),
        }
    )
    return create(
        search,
        dict.fromkeys(problem.objectives, "minimize"),
        CellSpace(problem.rows),
        search.mode == "steady_state",
        problem.known_costs,
    )


def _epsilons(problem: Problem) -> list[float]:
    """A hundredth of what the reference leaves of each cost, for ε-dominance."""
    return ((problem.reference - problem.costs.min(axis=0)) / 100).tolist()


def play(
    problem: Problem, name: str, seed: int, trainings: int, overrides: Iterable[str] = ()
) -> np.ndarray:
    """Lets an algorithm search a table.

    Returns:
        Share of the table's hypervolume that it has found after each training, (trainings,);
        the last one goes on where it ended before.
    """
    game = Game(problem, trainings)
    if name in PEERS:
        PEERS[name].search(game, seed)
    else:
        _play_ours(game, name, seed, overrides)
    last = game.shares[-1] if game.shares else 0.0
    return np.array(game.shares + [last] * (trainings - len(game.shares)))


def _play_ours(game: Game, name: str, seed: int, overrides: Iterable[str]) -> None:
    space = CellSpace(game.problem.rows)
    search = algorithm(name, seed, game.problem, overrides)
    while not game.is_over and (proposal := search.ask()):
        if space.infeasible(proposal.hyperparameters):
            search.reject(proposal)
        else:
            costs = game.train(proposal.genotype)
            search.tell(proposal, proposal.number, costs.tolist())
