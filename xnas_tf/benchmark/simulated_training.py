"""Known results in place of trainings."""

from __future__ import annotations

import numpy as np

from xnas_tf.benchmark.cell_space import CellSpace
from xnas_tf.benchmark.problem import Problem

PATIENCE = 100
"""Asks without a new cell, in a row, after which a search is ended on a table of all cells; more
in proportion where cells are missing. In 600 trainings pymoo comes to 3, Optuna's NSGA-II to
fewer than 100, its TPE to 131 after 150: from there on it repeats itself."""


class SimulatedTraining:
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
