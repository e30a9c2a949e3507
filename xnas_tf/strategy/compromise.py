"""The best compromise between the objectives other than the error."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from xnas_tf.candidate import Candidate
from xnas_tf.strategy.knee import normalised
from xnas_tf.strategy.options import Goals
from xnas_tf.strategy.pareto import costs

ERROR = "error"
ERROR_OBJECTIVES = (ERROR, "metric:accuracy")
"""Objectives that the error's tolerance already accounts for."""
ROUNDING = 1e-9


def compromise(
    eligible: Sequence[Candidate],
    learned: Sequence[Candidate],
    config: Goals,
    prefer: str | None = None,
) -> tuple[Candidate, str]:
    """Find the eligible candidate with the smallest mean of the costs, each scaled to [0, 1].

    Args:
        eligible: Those to choose from, at least one.
        learned: All candidates that are better than chance, over which costs are scaled. Two
            candidates scaled by themselves would always tie: each would be worst where the other is
            best.
        config: The run's configuration.
        prefer: The only objective that counts; all except the error if None.

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
