"""Non-dominated sorting (Deb et al. 2002) of a whole population at once.

Platypus compares solutions one by one, in Python; with many groups two thirds of the work queue's
time went into that. Ranks and crowding distances are the same: a property test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import platypus


def rank(solutions: Sequence[platypus.Solution]) -> None:
    """Gives solutions their ``rank`` (0: dominated by none) and ``crowding_distance``.

    As in constrained NSGA-II, the one with less constraint violation dominates; between equal
    violations the objectives decide.
    """
    if not solutions:
        return
    dominates = _dominates(solutions)
    left, number = np.arange(len(solutions)), 0
    while len(left):
        is_first = ~dominates[np.ix_(left, left)].any(axis=0)
        front = [solutions[index] for index in left[is_first]]
        for solution in front:
            solution.rank = number
        platypus.crowding_distance(front)
        left, number = left[~is_first], number + 1


def _dominates(solutions: Sequence[platypus.Solution]) -> np.ndarray:
    """Whether the solution of a row dominates that of a column, (N, N)."""
    directions = solutions[0].problem.directions
    signs = [-1 if d == platypus.Direction.MAXIMIZE else 1 for d in directions]
    costs = np.array([list(s.objectives) for s in solutions], float) * signs
    violations = np.array([s.constraint_violation for s in solutions], float)
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    equal = violations[:, None] == violations[None]
    return np.where(equal, no_worse & better, violations[:, None] < violations[None])
