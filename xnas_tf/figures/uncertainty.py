"""Computes the uncertainty of an objective's value, for figures."""

from __future__ import annotations

import math

from xnas_tf.candidate import Candidate
from xnas_tf.utils.intervals import accuracy_interval, normal_interval


def interval_of(candidate: Candidate, name: str, images: int) -> tuple[float, float]:
    """Return the 95% interval of an objective; NaN if its uncertainty is unknown.

    For the error, this is Wilson's interval over the validation images. For other objectives, it is
    the normal interval from the recorded standard error, and does not include the variation between
    training runs.

    Args:
        candidate: A finished candidate.
        name: The objective.
        images: Number of validation images; 0 if unknown.
    """
    value = candidate.objectives[name]
    if name == "error" and images:
        low, _, high = accuracy_interval((1 - value) * images, images) or [math.nan] * 3
        return 1 - high, 1 - low
    error = candidate.metrics.get(f"{name}/standard_error", math.nan)
    return normal_interval(value, error)
