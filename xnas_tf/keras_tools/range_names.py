"""Names of ranges of values, such as ``0-1``."""

from __future__ import annotations

import math
import re

from xnas_tf.errors import InputError, suggest

AUTO = "auto"
DEFAULT_RANGE = "0-1"
"""The range on which all models of a search are trained."""
RANGES = {DEFAULT_RANGE: (0.0, 1.0), "-1-1": (-1.0, 1.0), "0-255": (0.0, 255.0)}
"""Lowest and highest value of each usual range, the narrowest range first. These are the ranges
that are inferred; any other, such as ``0-16``, can be given."""
CHANNEL_CAUSE = (
    "If each channel of the training images was scaled by its own mean and standard deviation, no "
    "range is right: see docs/how-to/explaining.md, section Name the input range"
)
"""A further cause to name if the range of a model's input may be wrong."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*-\s*({_NUMBER})\s*")


def range_name(low: float, high: float) -> str:
    """Return the name of a range at float32 precision, such as ``0-16`` or ``-2.5-2.5``."""
    return f"{low + 0.0:.9g}-{high + 0.0:.9g}"  # + 0.0 turns -0 into 0


def limits_of(name: str, *others: str) -> tuple[float, float]:
    """Return the lowest and the highest value of a ``LOW-HIGH`` range.

    Raises:
        InputError: If the name is not a range; the message lists the allowed names, including
            ``others``.
    """
    found = _RANGE.fullmatch(str(name))
    if not found:
        allowed = (*others, *RANGES, "any LOW-HIGH such as 0-16 or -2.5-2.5")
        raise InputError(f"`input_range`: no range is called {suggest(name, allowed)}")
    low, high = map(float, found.groups())
    if not (low < high and math.isfinite(high - low)):
        raise InputError(
            f"`input_range` {name}: from {low:g} to {high:g}; allowed: LOW-HIGH with LOW below HIGH"
        )
    return low, high


def check_range(given: str) -> str:
    """Return ``auto``, or a range in its usual notation, such as ``0-16`` for ``0.0-16.0``."""
    return given if given == AUTO else range_name(*limits_of(given, AUTO))
