"""Whether a classifier is better than always answering the commonest class."""

from __future__ import annotations

import math

Z = 1.959964
"""Quantile of the normal distribution for 95% intervals."""


def wilson_interval(correct: float, images: int) -> tuple[float, float]:
    """Computes the 95% interval of an accuracy (Wilson 1927).

    Args:
        correct: Images that are answered correctly.
        images: All images.

    Returns:
        The lower and the upper end, in [0, 1]; (0, 1) without images.
    """
    if not images:
        return 0.0, 1.0
    share, spread = correct / images, Z**2 / images
    middle = share + spread / 2
    half = math.sqrt(max(0.0, spread * share * (1 - share) + spread**2 / 4))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return max(0.0, low), min(1.0, high)


def better_than_chance(correct: float, images: int, commonest: int) -> bool:
    """Says whether an accuracy is above that of always answering the commonest class.

    Args:
        correct: Images that are answered correctly; NaN if that is not known.
        images: All images.
        commonest: Images of the commonest class among them.

    Returns:
        Whether the lower end of the accuracy's 95% interval is above the class's share.
    """
    return images > 0 and wilson_interval(correct, images)[0] > commonest / images
