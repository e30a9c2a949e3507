"""Non-dominated sorting (Deb et al. 2002) of a whole population at once.

Platypus compares solutions one by one, in Python; with many groups two thirds of the work queue's
time went into that. Ranks and crowding distances are the same: a property test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
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


def best_first(costs: np.ndarray, violations: np.ndarray, count: int) -> list[int]:
    """The best of many points, in the order that ``rank`` gives solutions: by rank, then crowding
    distance; the earlier one where both are equal. 16,000 points take milliseconds.

    Args:
        costs: (N, objectives), to be minimised.
        violations: Total constraint violation of each, (N,).
        count: How many are wanted.

    Returns:
        Places of points, the best first.
    """
    found: list[int] = []
    for violation in np.unique(violations):
        places = np.flatnonzero(violations == violation)
        ranks = moocore.pareto_rank(costs[places])
        for number in range(int(ranks.max()) + 1):
            if len(found) >= count:
                return found[:count]
            front = places[ranks == number]
            found += front[np.argsort(-crowding(costs[front]), kind="stable")].tolist()
    return found[:count]


def crowding(costs: np.ndarray) -> np.ndarray:
    """Crowding distances (N,) of the points (N, objectives) of one front; those that repeat an
    earlier point have none."""
    distances = np.zeros(len(costs))
    _, first = np.unique(costs, axis=0, return_index=True)
    first.sort()
    for column in costs[first].T:
        order = first[np.argsort(column, kind="stable")]
        values = np.sort(column)
        span = values[-1] - values[0]
        distances[order[[0, -1]]] = np.inf
        distances[order[1:-1]] += (values[2:] - values[:-2]) / span if span > 0 else np.inf
    return distances
