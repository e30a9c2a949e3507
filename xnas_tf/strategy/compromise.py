"""The best compromise between the objectives other than the error, and the knee of a front.

At the knee, a gain in one objective costs most in the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.options import Goals
from xnas_tf.strategy.pareto import costs

ERROR = "error"
ERROR_OBJECTIVES = (ERROR, "metric:accuracy")
"""Objectives that the error's tolerance already accounts for."""
ROUNDING = 1e-9
FLAT = 1e-9
"""Distances up to this are rounding errors: the front has no knee."""


def compromise(
    eligible: Sequence[Candidate], learned: Sequence[Candidate], config: Goals, prefer: str | None
) -> tuple[Candidate, str]:
    """Find the eligible candidate with the smallest mean of the costs, each scaled to [0, 1].

    Costs are scaled over all ``learned`` candidates, those that are better than chance. Two
    candidates scaled by themselves would always tie: each would be worst where the other is best.
    If an objective to ``prefer`` is given, only that one counts; otherwise, all except the error.

    Returns:
        The candidate, and the reason for the choice unless it is the default rule alone.
    """
    wanted = other_objectives(config) if prefer is None else [prefer]
    indices = [i for i, o in enumerate(config.objectives) if o.name in wanted and prefer != ERROR]
    values = costs(learned, config)[:, indices]
    if not prefer:
        names = [config.objectives[i].name for i in indices]
        _ignore_small_differences(values, learned, eligible, names)
    if len(indices) > 1:
        values = normalised(values)  # drops objectives that are equal for all
    by_id = dict(zip((c.id for c in learned), values.sum(axis=1), strict=True))
    rounding = ROUNDING if len(indices) > 1 else 0.0  # one objective may have any unit
    least = min(by_id[c.id] for c in eligible) + rounding
    tied = sorted((c for c in eligible if by_id[c.id] <= least), key=by_error)
    return tied[0], f"preferred: the best {prefer}" if prefer else _tie(tied, config)


def validation_error(candidate: Candidate) -> float:
    """Return the validation error, even if it is not an objective; NaN if it is not known."""
    return 1 - candidate.metrics.get("val_accuracy", math.nan)


def by_error(candidate: Candidate) -> tuple[float, int]:
    """Return a sort key: the validation error, then the id."""
    return validation_error(candidate), candidate.id


def other_objectives(config: Goals) -> list[str]:
    """Return the names of the objectives other than the error."""
    return [o.name for o in config.objectives if o.name not in ERROR_OBJECTIVES]


def joined(names: Sequence[str]) -> str:
    """Join the names of the objectives that are compared, and say how several are combined."""
    scaled = "" if len(names) == 1 else " overall, each scaled from 0 to 1 over the front"
    return " and ".join(names) + scaled


def _ignore_small_differences(
    values: np.ndarray,
    learned: Sequence[Candidate],
    eligible: Sequence[Candidate],
    names: Sequence[str],
) -> None:
    """Set costs of eligible candidates within one standard error of the best to the best cost.

    This is the one-standard-error rule (Breiman et al. 1984, section 3.4.3) for each objective. It
    changes the costs (N, M) of the N learned candidates and the M named objectives in place.
    """
    ids = {candidate.id for candidate in eligible}
    rows = [row for row, candidate in enumerate(learned) if candidate.id in ids]
    for column, name in enumerate(names):
        best = min(rows, key=lambda row: values[row, column])
        error = learned[best].metrics.get(f"{name}/standard_error", 0.0)
        for row in rows:
            if values[row, column] <= values[best, column] + error:
                values[row, column] = values[best, column]


def _tie(tied: Sequence[Candidate], config: Goals) -> str:
    """Explain what decides between several candidates; empty if there is only one."""
    if len(tied) == 1 or not (names := other_objectives(config)):
        return ""
    others = ", ".join(str(c.id) for c in tied[1:])
    values = {c.objectives.get(names[0]) for c in tied}
    small = " within its standard error" if len(names) == 1 and len(values) > 1 else ""
    text = f"tied with {others} in {joined(names)}{small}"
    if validation_error(tied[0]) < validation_error(tied[1]):
        return f"{text}, so the lower error decides"
    return f"{text}, and in error, so the first one found is chosen"


def knee(front: Sequence[Candidate], config: Goals) -> tuple[Candidate, str]:
    """Find the knee of a front, or else the candidate closest to the best values, and the reason.

    Ties go to the candidate that is best in the first objective that differs, then to the one with
    the lowest id. The reason is empty if there was no choice.
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
    """Return the distances (N,) of scaled costs (N, M) from a hyperplane; negative beyond it.

    It runs through the extremes of the front. The knee is the point farthest from it towards the
    best values (Das 1999, "On characterizing the 'knee' of the Pareto curve based on
    normal-boundary intersection"). With two objectives, it is the line between the best point of
    each objective. The extreme point of an objective is the point nearest to its axis, as in
    NSGA-III (Deb and Jain 2014, section IV-C). With few points and many objectives, these points
    may not span a hyperplane that intersects all axes. In that case, the hyperplane through their
    centre that intersects all axes at the same value is used.
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
