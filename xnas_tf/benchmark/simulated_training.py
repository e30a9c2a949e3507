"""Simulates training by looking up known results in a table."""

from __future__ import annotations

import numpy as np

from xnas_tf.benchmark.problem import Problem
from xnas_tf.spaces.cells import EDGES, OPERATIONS

PATIENCE = 100
"""A search ends after this many consecutive requests without a new cell of a table with all cells;
if cells are missing, the number is proportionally higher. In 600 trainings, pymoo makes at most 3
such requests in a row, Optuna's NSGA-II fewer than 100, and Optuna's TPE 131 after 150 trainings,
because it then repeats itself."""


class SimulatedTraining:
    """Looks up results for a search, and records the hypervolume found so far.

    Only the first request for a cell counts as a training run; repeated requests cost nothing.

    Attributes:
        shares: Share of the table's hypervolume found after each training run.
    """

    def __init__(self, problem: Problem, trainings: int) -> None:
        self.problem = problem
        self._budget = min(trainings, len(problem.rows))
        self._patience = PATIENCE * len(OPERATIONS) ** len(EDGES) / len(problem.rows)
        self._idle = 0
        self._trained: set[str] = set()
        self._front = np.empty((0, len(problem.objectives)))
        self.shares: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether all training runs are used up, or the search no longer requests new cells."""
        return len(self.shares) >= self._budget or self._idle >= self._patience

    def train(self, genotype: str) -> np.ndarray:
        """Return the costs (objectives,) of a cell.

        A cell that is not in the table gets the worst costs in the table, and does not count as a
        training run.
        """
        self._idle += 1
        row = self.problem.rows.get(genotype)
        if row is None:
            return self.problem.costs.max(axis=0)
        if genotype not in self._trained and len(self.shares) < self._budget:
            self._idle = 0
            self._trained.add(genotype)
            self._add(self.problem.costs[row])
        return self.problem.costs[row]

    def _add(self, costs: np.ndarray) -> None:
        found = self.shares[-1] if self.shares else 0.0
        if not (costs < self.problem.reference).all() or (self._front <= costs).all(axis=1).any():
            self.shares.append(found)
            return
        kept = self._front[~(costs <= self._front).all(axis=1)]
        self._front = np.vstack([kept, costs])
        self.shares.append(self.problem.share(self._front))
