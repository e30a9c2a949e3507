"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table


def table(title: str, headings: Sequence[str]) -> Table:
    """An empty table."""
    made = Table(box=box.SIMPLE_HEAD, title=title)
    for heading in headings:
        made.add_column(heading)
    return made


def number(value: float | None) -> str:
    """Two digits; a dash for what is not defined."""
    return "–" if value is None else f"{value:.2f}"


def share(value: float | None) -> str:
    """Per cent; a dash for what is not defined."""
    return "–" if value is None else f"{value:.1%}"
