"""Confidence intervals of accuracies and means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

CONFIDENCE = 0.95
"""Confidence level of all intervals."""
STANDARD_ERRORS = 2
"""A mean that is more than this many standard errors above 0 counts as clearly positive."""
SIGNIFICANCE = 0.01
"""Level of the test of ``clearly_more``, stricter than that of the intervals, because it is used to
compare several alternatives."""
FEWEST = 5
"""Minimum number of values for estimating the standard error of their mean."""
_QUANTILE = 1.959963984540054
"""Quantile of the normal distribution at that level; importing SciPy would take a second."""


def accuracy_interval(correct: float, count: int) -> list[float] | None:
    """Compute Wilson's confidence interval (1927) of an accuracy on ``count`` images.

    It is ``[low, accuracy, high]``, or None if there are no images.
    """
    if not count:
        return None
    share, spread = float(correct) / count, _QUANTILE**2 / count
    middle = share + spread / 2
    half = math.sqrt(max(0.0, spread * share * (1 - share) + spread**2 / 4))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return [max(0.0, low), share, min(1.0, high)]


def normal_interval(value: float, standard_error: float) -> tuple[float, float]:
    """Compute the confidence interval of a normally distributed value."""
    half = _QUANTILE * standard_error
    return value - half, value + half


def better_than_chance(correct: float, count: int, largest_class: int) -> bool:
    """Return whether an accuracy is significantly above that of a constant prediction.

    This is the case if the lower end of the confidence interval is above the share of the most
    frequent class, which has ``largest_class`` images. The result is False if there are no images
    or the number of correct predictions is NaN.
    """
    interval = accuracy_interval(correct, count)
    return interval is not None and interval[0] > largest_class / count


def clearly_higher(first: float, first_count: int, second: float, second_count: int) -> bool:
    """Return whether an accuracy is significantly above another one, on other images.

    It is if the confidence interval of the difference is above 0 (Newcombe 1998, "Interval
    estimation for the difference between independent proportions", method 10). Both numbers of
    images are at least 1.
    """
    low = accuracy_interval(first * first_count, first_count)
    high = accuracy_interval(second * second_count, second_count)
    assert low and high  # there are images
    return first - second > math.hypot(first - low[0], high[2] - second)


def clearly_more(gained: int, lost: int) -> bool:
    """Return whether one of two classifiers is significantly more accurate on the same images.

    Only the one classifies ``gained`` images correctly, and only the other ``lost`` images. Images
    that both classify correctly, or both wrongly, do not count (McNemar 1947, the exact one-sided
    test).
    """
    if gained <= lost:
        return False
    from scipy.stats import binomtest  # noqa: PLC0415 - heavy

    return bool(binomtest(gained, gained + lost, alternative="greater").pvalue < SIGNIFICANCE)


def is_clearly_positive(values: np.ndarray) -> bool | None:
    """Return whether the mean of values (N,) is above 0 by more than two standard errors.

    NaN values are left out. The result is None if fewer than five values are left.
    """
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return None
    error = known.std(ddof=1) / math.sqrt(len(known))
    return bool(known.mean() > STANDARD_ERRORS * error)


def mean_interval(values: Sequence[float]) -> list[float] | None:
    """Compute Student's confidence interval (1908) ``[low, mean, high]`` of a mean.

    It is None if there are fewer than two values.
    """
    from scipy.stats import t  # noqa: PLC0415 - heavy

    count = len(values)
    if count < 2:
        return None
    differences = np.asarray(values, np.float64) - values[0]  # exactly 0 if all are equal
    mean = float(values[0] + differences.mean())
    error = float(differences.std(ddof=1) / np.sqrt(count))
    half = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return [mean - half, mean, mean + half]
