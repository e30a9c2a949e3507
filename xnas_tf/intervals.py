"""Intervals of figures that were measured on a sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
"""Of all intervals."""


def accuracy_interval(right: int, count: int) -> list[float] | None:
    """``[low, accuracy, high]`` of so many right answers, with Wilson's interval (1927): how far
    the accuracy on other images of the same kind may be. None without images."""
    from scipy.stats import binomtest

    if not count:
        return None
    interval = binomtest(int(right), int(count)).proportion_ci(CONFIDENCE, method="wilson")
    return [float(interval.low), float(right / count), float(interval.high)]


def better_than_chance(right: int, count: int, commonest: int) -> bool:
    """Whether so many right answers show more than always answering the commonest class.

    Args:
        right: Right answers.
        count: Images.
        commonest: Images of the commonest class among them.

    Returns:
        Whether the lower end of Wilson's interval is above the commonest class's share; False
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
