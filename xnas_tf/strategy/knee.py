"""The knee of a front: where a gain in one objective costs most in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.options import Goals
from xnas_tf.strategy.pareto import costs

FLAT = 1e-9
"""Distances up to this are rounding errors: the front has no knee."""


def knee(front: Sequence[Candidate], config: Goals) -> tuple[Candidate, str]:
    """Find the knee of a front, or else the candidate closest to the best values.

    Ties go to the candidate that is best in the first objective that differs, then to the one with
    the lowest id.

    Returns:
        The candidate, and the reason for the choice; the reason is empty if there was no choice.
    """
    front = sorted(front, key=lambda c: (*costs([c], config)[0], c.id))
    values = costs(front, config)
    if len(np.unique(values, axis=0)) == 1:
        return front[0], ""
    scaled = normalised(values)
    bulge = distances(scaled)
    index = int(np.argmax(bulge))
    if bulge[index] > FLAT:
        through = "line" if scaled.shape[1] == 2 else "plane"
        return front[index], (
            f"the knee: with all objectives scaled to 1, it lies farthest ({bulge[index]:.2f}) "
            f"before the {through} through the front's extremes"
        )
    index = int(np.argmin(np.linalg.norm(scaled, axis=1)))
    return front[index], "there is no knee; it is closest to the best values of all objectives"


def normalised(values: np.ndarray) -> np.ndarray:
    """Scale the costs (N, M) of a front to [0, 1], omitting objectives with only one value."""
    span = np.ptp(values, axis=0)
    return ((values - values.min(axis=0)) / np.where(span > 0, span, 1.0))[:, span > 0]


def distances(scaled: np.ndarray) -> np.ndarray:
    """Return the distances from points to the hyperplane through the extremes of their front.

    The knee is the point farthest from the hyperplane towards the best values (Das 1999, "On
    characterizing the 'knee' of the Pareto curve based on normal-boundary intersection"). With two
    objectives, the hyperplane is the line between the best point of each objective. The extreme
    point of an objective is the point nearest to its axis, as in NSGA-III (Deb and Jain 2014,
    section IV-C). With few points and many objectives, these points may not span a hyperplane that
    intersects all axes. In that case, the hyperplane through their centre that intersects all axes
    at the same value is used.

    Args:
        scaled: Costs (N, M), see ``normalised``.

    Returns:
        Distances (N,); negative for points beyond the hyperplane.
    """
    size = scaled.shape[1]
    extremes = scaled[[_extreme(scaled, axis) for axis in range(size)]]
    normal = np.ones(size)
    if np.linalg.matrix_rank(extremes) == size:
        found = np.linalg.solve(extremes, np.ones(size))
        normal = found if (found > 0).all() else normal
    return ((extremes @ normal).mean() - scaled @ normal) / np.linalg.norm(normal)


def _extreme(scaled: np.ndarray, axis: int) -> int:
    """Return the index of the point nearest to an axis.

    This is the point whose largest other cost is lowest. Ties go to the lower cost on the axis.
    """
    others = np.delete(scaled, axis, axis=1).max(axis=1)
    return int(np.lexsort((scaled[:, axis], others))[0])
