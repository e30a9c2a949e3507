"""Whether a classifier is better than one that always answers the commonest class."""

from __future__ import annotations

from math import sqrt

Z = 1.959964
"""The normal distribution's quantile of a two-sided 95% interval."""


def wilson_interval(correct: float, images: int) -> tuple[float, float]:
    """The 95% interval of an accuracy (Wilson 1927), as shares in [0, 1].

    Args:
        correct: Images answered correctly; a share of them where it was measured by weight.
        images: How many images there were; the interval is all of [0, 1] without any.
    """
    if images <= 0:
        return 0.0, 1.0
    share = correct / images
    scale = 1 + Z**2 / images
    centre = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * sqrt(max(0.0, share * (1 - share) / images + Z**2 / (4 * images**2)))
    return max(0.0, centre - half), min(1.0, centre + half)


def better_than_chance(correct: float, images: int, commonest: int) -> bool:
    """Whether the lower end of the accuracy's 95% interval is above that of always answering
    the commonest class.

    Args:
        correct: Images answered correctly.
        images: How many images there were.
        commonest: How many of them are of the commonest class.
    """
    return images > 0 and wilson_interval(correct, images)[0] > commonest / images
