"""Non-dominated sorting (Deb et al. 2002) of a whole population at once.

Platypus compares solutions one by one, in Python; with many groups this took two thirds of the
coordinator's time. Ranks and crowding distances are the same: a property test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence

import moocore
import numpy as np
import platypus


def rank(solutions: Sequence[platypus.Solution]) -> None:
    """Set the ``rank`` (0: not dominated) and ``crowding_distance`` of solutions.

    As in constrained NSGA-II, a solution with less constraint violation dominates; between equal
    violations the objectives decide.
    """
    if not solutions:
        return
    directions = solutions[0].problem.directions
    signs = [-1 if d == platypus.Direction.MAXIMIZE else 1 for d in directions]
    objectives = np.array([list(solution.objectives) for solution in solutions], float)
    violations = np.array([solution.constraint_violation for solution in solutions], float)
    ranks = _ranks(objectives * signs, violations)
    distances = _crowding_distances(objectives, ranks)
    for solution, number, distance in zip(
        solutions, ranks.tolist(), distances.tolist(), strict=True
    ):
        solution.rank = number
        solution.crowding_distance = distance


def best_first(costs: np.ndarray, violations: np.ndarray, count: int) -> list[int]:
    """Return the best of many points, by rank and then crowding distance, as in ``rank``.

    Ties go to the earlier point. 16,000 points take about 0.03 s.

    Args:
        costs: (N, objectives), to be minimised.
        violations: Total constraint violation of each point, (N,).
        count: Number of points to return.

    Returns:
        Indices of the points, best first.
    """
    if not len(costs):
        return []
    ranks = _ranks(costs, violations)
    return np.lexsort((-_crowding_distances(costs, ranks), ranks))[:count].tolist()


def _ranks(costs: np.ndarray, violations: np.ndarray) -> np.ndarray:
    """Return the index of each point's front, (N,); points of less violation come first."""
    ranks = np.zeros(len(costs), int)
    first = 0
    for violation in np.unique(violations):
        is_equal = violations == violation
        ranks[is_equal] = first + moocore.pareto_rank(costs[is_equal])
        first = int(ranks.max()) + 1
    return ranks


def _crowding_distances(objectives: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return crowding distances within each front, (N,); 0 for repetitions of a point."""
    distances = np.zeros(len(ranks))
    order = np.lexsort((*objectives.T, ranks))
    is_repeated = (objectives[order[1:]] == objectives[order[:-1]]).all(axis=1)
    is_repeated &= ranks[order[1:]] == ranks[order[:-1]]
    distinct = np.delete(order, np.flatnonzero(is_repeated) + 1)
    distinct.sort()
    for values in objectives[distinct].T:
        distances[distinct] += _gaps(values, ranks[distinct])
    return distances


def _gaps(values: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the distances between each value's neighbours in its front, (N,).

    They are shares of the front's span; infinite for its ends, and for fronts without a span.
    """
    order = np.lexsort((values, ranks))
    ordered, front = values[order], ranks[order]
    starts = np.flatnonzero(np.diff(front, prepend=-1))
    ends = np.append(starts[1:], len(front)) - 1
    spans = (ordered[ends] - ordered[starts])[front]
    gaps = np.full(len(values), np.inf)
    gaps[1:-1] = ordered[2:] - ordered[:-2]
    gaps[starts] = gaps[ends] = np.inf
    gaps[spans < np.finfo(float).eps] = np.inf
    gaps /= np.where(spans > 0, spans, 1)
    unsorted = np.empty_like(gaps)
    unsorted[order] = gaps
    return unsorted
