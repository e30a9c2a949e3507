"""Splits tables that are wider than the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

from rich.console import Console
from rich.measure import measure_renderables
from rich.table import Column, Table

MAX_WIDTH = 48
"""Width of a column beyond which text, such as a genotype, may wrap onto more lines."""
ANY_WIDTH = 10_000
"""A width larger than any table needs."""


def split_to_fit(table: Table, console: Console) -> list[Table]:
    """Split a table that is wider than the terminal, so that no value is cut off.

    Each table has some of the columns, and repeats the first column. Text wraps between words,
    usually onto two lines; only words longer than ``MAX_WIDTH`` may be broken.
    """
    unlimited = console.options.update_width(ANY_WIDTH)
    if console.measure(table, options=unlimited).maximum <= console.width:
        return [table]
    widths = [_width_range(column, console) for column in table.columns]

    def spare(group: Sequence[int]) -> int:
        """Return the width left in the terminal if all columns are as narrow as possible."""
        # Each column has a space on both sides and an edge, and the table has one more edge.
        return console.width - 1 - sum(widths[index][0] + 3 for index in group)

    groups = [[0]]
    for index in range(1, len(widths)):
        if len(groups[-1]) > 1 and spare([*groups[-1], index]) < 0:
            groups.append([0])
        groups[-1].append(index)
    return [
        _part(table, _chosen_widths(group, widths, spare(group)), is_first=group is groups[0])
        for group in groups
    ]


def _width_range(column: Column, console: Console) -> tuple[int, int]:
    """Return a column's width with wrapped text, and its width with text on a single line."""
    options = console.options.update_width(ANY_WIDTH)
    needed = measure_renderables(console, options, [column.header, *column.cells])
    width = needed.maximum if column.no_wrap else max(needed.minimum, needed.maximum // 2 + 1)
    return min(MAX_WIDTH, width), needed.maximum


def _chosen_widths(
    group: Sequence[int], widths: Sequence[tuple[int, int]], spare: int
) -> dict[int, int]:
    """Return the width of each column; the text columns at the end share the remaining width."""
    chosen = {}
    for index in reversed(group):
        least, most = widths[index]
        extra = max(0, min(spare, most - least))
        chosen[index] = least + extra
        spare -= extra
    return {index: chosen[index] for index in group}


def _part(table: Table, widths: Mapping[int, int], is_first: bool) -> Table:
    part = copy(table)
    part.columns = [
        replace(table.columns[index], width=width, overflow="fold", no_wrap=False)
        for index, width in widths.items()
    ]
    if not is_first:
        part.title = part.caption = None
    return part
