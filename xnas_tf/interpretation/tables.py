"""Helpers for terminal tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from xnas_tf.utils.number_format import percent_text


def table(title: str, headings: Sequence[str]) -> Table:
    """Return an empty table with column headings."""
    return Table(*headings, box=box.SIMPLE_HEAD, title=title)


def number(value: float | None) -> str:
    """Format a number with two decimals, and None as a dash."""
    return "–" if value is None else f"{value:.2f}"


def share(value: float | None) -> str:
    """Format a share as a percentage, and None as a dash."""
    return "–" if value is None else percent_text(value)
