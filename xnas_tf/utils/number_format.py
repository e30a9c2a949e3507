"""Formats numbers for humans."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

_FRACTION = re.compile(r"(?<![\w.])\d+\.\d{4,}(?:e[-+]?\d+)?(?![\w.])")


def format_value(value: float | None) -> str:
    """Format a number for a table: integers with thousands separators, others with 4 decimals."""
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4f}"


def brief_value(value: float, digits: int = 4) -> str:
    """Format a number for running text: counts with all digits, other numbers with a few."""
    is_whole = float(value).is_integer() or abs(value) >= 10**digits
    return f"{value:,.0f}" if is_whole and abs(value) < 1e15 else f"{value:.{digits}g}"


def percent_text(share: float, decimals: int = 1) -> str:
    """Format a share as a percentage, with halves rounded up, as the JavaScript of a report does.

    Python's own formatting rounds halves to the even digit: 96.25% would become 96.2%.
    """
    step = Decimal(1).scaleb(-decimals)
    return f"{Decimal(100 * float(share)).quantize(step, ROUND_HALF_UP)}%"


def percent_range(low: float, high: float, decimals: int = 1) -> str:
    """Format the ends of an interval of shares, such as ``88.8% to 95.7%``."""
    return f"{percent_text(low, decimals)} to {percent_text(high, decimals)}"


def percent_interval(interval: Sequence[float] | None) -> str:
    """Return ``[low, value, high]`` as text, or an empty string if there are no images."""
    if interval is None:
        return ""
    low, value, high = interval
    return f"{percent_text(value)} ({percent_range(low, high)})"


def ten_digits(value: float | None) -> float | None:
    """Round to ten significant digits, enough that rounding again for a table changes nothing.

    With only six digits, 1.4352544 would become 1.43525, and then 1.4352 instead of 1.4353.
    """
    return None if value is None else float(f"{value:.10g}")


def setting_text(value: Any) -> str:
    """Format the value of a hyperparameter, with three significant digits if it is a float."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def shortened(text: str) -> str:
    """Round the decimal fractions in text to three significant digits.

    In genotypes, continuous hyperparameters have 17 digits, which is too many for a table.
    """
    return _FRACTION.sub(lambda found: setting_text(float(found[0])), text)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 epoch`` or ``2 epochs``."""
    return f"{count:,} {noun}" + ("s" if count != 1 else "")
