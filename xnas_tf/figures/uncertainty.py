"""Computes the uncertainty of objective values, for figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from xnas_tf.candidate import Candidate
from xnas_tf.objectives.base import Objective
from xnas_tf.utils.intervals import accuracy_interval, normal_interval

_NAMED = 8
"""Maximum number of candidates to name in a note."""


def interval_of(candidate: Candidate, objective: Objective, images: int) -> tuple[float, float]:
    """Return an objective's 95% interval; NaN if its uncertainty is unknown.

    For the error, the interval is Wilson's interval over the validation ``images`` (0 if their
    number is unknown). For other objectives, a normal interval is computed from the recorded
    standard error, which does not include variation between training runs. The uncertainty counts
    as unknown if the interval is ``too_wide``.
    """
    if objective.name == "error" and images:
        correct = (1 - candidate.objectives["error"]) * images
        low, _, high = accuracy_interval(correct, images) or [math.nan] * 3
        return 1 - high, 1 - low
    is_unknown = too_wide(candidate, objective)
    return (math.nan, math.nan) if is_unknown else _recorded(candidate, objective)


def too_wide(candidate: Candidate, objective: Objective) -> bool:
    """Return whether an interval is at least as wide as the range of possible values.

    Such an interval says nothing about the value. Intervals are this wide if the standard error of
    introspectability cannot be estimated, because class means nearly vanish.
    """
    low, high = _recorded(candidate, objective)
    return high - low >= objective.highest - objective.lowest


def too_wide_note(candidates: Sequence[Candidate], objectives: Iterable[Objective]) -> str:
    """Name the candidates whose intervals are not drawn; empty if there are none."""
    texts = []
    for objective in objectives:
        ids = [str(each.id) for each in candidates if too_wide(each, objective)]
        if ids:
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            plural = "s" if len(ids) > 1 else ""
            named = ", ".join(ids[:_NAMED])
            texts.append(f"{objective.name} of candidate{plural} {named}{more}")
    if not texts:
        return ""
    return (
        f"No bar for {'; '.join(texts)}: the 95% interval would be as wide as the range of "
        "possible values."
    )


def _recorded(candidate: Candidate, objective: Objective) -> tuple[float, float]:
    """Return the normal interval from the recorded standard error; NaN if there is none."""
    error = candidate.metrics.get(f"{objective.name}/standard_error", math.nan)
    return normal_interval(candidate.objectives[objective.name], error)
