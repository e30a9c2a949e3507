"""The uncertainty of an objective's value, as figures show it."""

from __future__ import annotations

import math

from xnas_tf.candidate import Candidate
from xnas_tf.utils.intervals import accuracy_interval, normal_interval


def interval_of(candidate: Candidate, name: str, images: int) -> tuple[float, float]:
    """Return the 95% interval of an objective; NaN where no uncertainty is known.

    Of the error it is Wilson's over the validation images; of others, the normal interval of the
    standard error that was recorded, which does not contain the variation between trainings.

    Args:
        candidate: A candidate that is done.
        name: The objective.
        images: The number of validation images; 0 if unknown.
    """
    value = candidate.objectives[name]
    if name == "error" and images:
        low, _, high = accuracy_interval((1 - value) * images, images) or [math.nan] * 3
        return 1 - high, 1 - low
    error = candidate.metrics.get(f"{name}/standard_error", math.nan)
    return normal_interval(value, error)
