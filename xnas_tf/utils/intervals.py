"""Intervals of figures that were measured on a sample."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
"""Of all intervals."""
_QUANTILE = 1.959963984540054
"""Of the normal distribution, for that confidence; SciPy takes a second to import."""


def accuracy_interval(right: float, count: int) -> list[float] | None:
    """``[low, accuracy, high]`` of so many right answers, with Wilson's interval (1927): how far
    the accuracy on other images of the same kind may be. None without images."""
    if not count:
        return None
    share, spread = float(right) / count, _QUANTILE**2 / count
    middle = share + spread / 2
    half = math.sqrt(max(0.0, spread * share * (1 - share) + spread**2 / 4))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return [max(0.0, low), share, min(1.0, high)]


def better_than_chance(right: float, count: int, commonest: int) -> bool:
    """Says whether so many right answers are more than always answering the commonest class.

    Args:
        right: Right answers; NaN if that is not known.
        count: Images.
        commonest: Images of the commonest class among them.

    Returns:
        Whether the lower end of the accuracy's interval is above the class's share; False
        without images.
    """
    interval = accuracy_interval(right, count)
    return interval is not None and interval[0] > commonest / count


def mean_interval(values: Sequence[float]) -> list[float] | None:
    """``[low, mean, high]`` of two or more values, with Student's interval (1908): how far the
    mean of many more may be. None of fewer, which say nothing of that."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return None
    beyond = np.asarray(values, np.float64) - values[0]  # equal values must differ by nothing
    mean = float(values[0] + beyond.mean())
    error = float(beyond.std(ddof=1) / np.sqrt(count))
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return [mean - half, mean, mean + half]
