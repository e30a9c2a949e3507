"""Splits tables that are wider than the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
    groups = [[0]]
    for index in range(1, len(widths)):
        if len(groups[-1]) > 1 and _spare([*groups[-1], index], widths, console) < 0:
            groups.append([0])
        groups[-1].append(index)
    parts: list[Table] = []
    for group in groups:
        chosen = _chosen_widths(group, widths, _spare(group, widths, console))
        parts.append(_part(table, chosen, is_first=not parts))
    return parts


def _width_range(column: Column, console: Console) -> tuple[int, int]:
    """Return a column's width with wrapped text, and its width with text on a single line."""
    options = console.options.update_width(ANY_WIDTH)
    needed = measure_renderables(console, options, [column.header, *column.cells])
    width = needed.maximum if column.no_wrap else max(needed.minimum, needed.maximum // 2 + 1)
    return min(MAX_WIDTH, width), needed.maximum


def _spare(group: Sequence[int], widths: Sequence[tuple[int, int]], console: Console) -> int:
    """Return the width left in the terminal if all columns are as narrow as possible."""
    # Each column has a space on both sides and an edge, and the table has one more edge.
    return console.width - 1 - sum(widths[index][0] + 3 for index in group)


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
    part = Table(
        box=table.box,
        show_header=table.show_header,
        title=table.title if is_first else None,
        title_justify=table.title_justify,
        title_style=table.title_style,
        caption=table.caption if is_first else None,
        caption_justify=table.caption_justify,
    )
    columns = [table.columns[index] for index in widths]
    for column, width in zip(columns, widths.values(), strict=True):
        part.add_column(column.header, justify=column.justify, overflow="fold", width=width)
    cells = zip(*(column.cells for column in columns), strict=True)
    for row, values in zip(table.rows, cells, strict=True):
        part.add_row(*values, end_section=row.end_section)
    return part
