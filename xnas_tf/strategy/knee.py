"""The knee of a front: where a gain in one objective costs most in the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.goals import Goals
from xnas_tf.strategy.pareto import costs

FLAT = 1e-9
"""Distances below this are rounding: the front bulges nowhere."""


def knee(front: Sequence[Candidate], config: Goals) -> tuple[Candidate, str]:
    """Finds the knee of a front, or what comes nearest to one.

    Among equals it is the best in the first objective that differs, then the one with the
    lowest id.

    Args:
        front: The Pareto-optimal candidates, at least one.
        config: The run's configuration.

    Returns:
        The candidate, and why it is this one.
    """
    front = sorted(front, key=lambda c: (*costs([c], config)[0], c.id))
    values = costs(front, config)
    if len(np.unique(values, axis=0)) == 1:
        return front[0], ""  # there is nothing to choose from
    scaled = normalised(values)
    bulge = distances(scaled)
    place = int(np.argmax(bulge))
    if bulge[place] > FLAT:
        through = "line" if scaled.shape[1] == 2 else "plane"
        why = (
            f"the knee: with all objectives scaled to 1 it lies furthest ({bulge[place]:.2f}) "
            f"before the {through} through the front's extremes"
        )
        return front[place], why
    place = int(np.argmin(np.linalg.norm(scaled, axis=1)))
    return front[place], "there is no knee; it is nearest to the best values of all objectives"


def normalised(values: np.ndarray) -> np.ndarray:
    """Costs (N, M) of a front with the best of it as 0 and the worst as 1; of its objectives
    only those in which it differs."""
    span = np.ptp(values, axis=0)
    return ((values - values.min(axis=0)) / np.where(span > 0, span, 1.0))[:, span > 0]


def distances(scaled: np.ndarray) -> np.ndarray:
    """How far points lie before the hyperplane through the extremes of their front.

    The knee is the point furthest from it towards the best values (Das 1999, "On
    characterizing the 'knee' of the Pareto curve based on normal-boundary intersection"). With
    two objectives the plane is the line between the best of each. The extreme of an
    objective is the point nearest to its axis, as in NSGA-III (Deb and Jain 2014, section
    IV-C). Where these points span no plane that cuts all axes, as with few of them and many
    objectives, one that cuts all alike is laid through their middle.

    Args:
        scaled: Costs (N, M), see ``normalised``.

    Returns:
        Distances (N,); negative behind the plane.
    """
    size = scaled.shape[1]
    extremes = scaled[[_extreme(scaled, axis) for axis in range(size)]]
    normal = np.ones(size)
    if np.linalg.matrix_rank(extremes) == size:
        found = np.linalg.solve(extremes, np.ones(size))
        normal = found if (found > 0).all() else normal
    return ((extremes @ normal).mean() - scaled @ normal) / np.linalg.norm(normal)


def _extreme(scaled: np.ndarray, axis: int) -> int:
    """The point nearest to an axis, by its worst other cost, then by its cost along the axis."""
    others = np.delete(scaled, axis, axis=1).max(axis=1)
    return int(np.lexsort((scaled[:, axis], others))[0])
