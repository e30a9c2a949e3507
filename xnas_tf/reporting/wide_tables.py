"""Tables that are wider than the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.measure import measure_renderables
from rich.table import Column, Table

MAX_WIDTH = 48
"""Width of a column at which a longer text, such as a genotype, may take more lines."""
ANY_WIDTH = 10_000
"""More than any table needs."""


def split_to_fit(table: Table, console: Console) -> list[Table]:
    """Split a table that does not fit into tables below each other, so that no value is cut off.

    Each has some of the columns, and the first one again. Texts wrap between words, most in two
    lines; only words longer than ``MAX_WIDTH`` may be folded.
    """
    unlimited = console.options.update_width(ANY_WIDTH)
    if console.measure(table, options=unlimited).maximum <= console.width:
        return [table]
    widths = [_least_width(column, console) for column in table.columns]
    groups = [[0]]
    for index in range(1, len(widths)):
        group = [*groups[-1], index]
        # Each column has a space on both sides and an edge.
        if len(groups[-1]) > 1 and sum(widths[i] + 3 for i in group) >= console.width:
            group = [0, index]
            groups.append(group)
        groups[-1] = group
    return [_part(table, group, number == 0) for number, group in enumerate(groups)]


def _least_width(column: Column, console: Console) -> int:
    """Return the width at which a column breaks lines between words only, and few of them."""
    options = console.options.update_width(ANY_WIDTH)
    needed = measure_renderables(console, options, [column.header, *column.cells])
    width = needed.maximum if column.no_wrap else max(needed.minimum, needed.maximum // 2 + 1)
    return min(MAX_WIDTH, width)


def _part(table: Table, columns: Sequence[int], is_first: bool) -> Table:
    chosen = [table.columns[index] for index in columns]
    part = Table(
        box=table.box,
        show_header=table.show_header,
        title=table.title if is_first else None,
        title_justify=table.title_justify,
        title_style=table.title_style,
        caption=table.caption if is_first else None,
    )
    for column in chosen:
        part.add_column(column.header, justify=column.justify, overflow="fold")
    for row, cells in zip(table.rows, _rows(chosen), strict=True):
        part.add_row(*cells, end_section=row.end_section)
    return part


def _rows(columns: Sequence[Column]) -> Iterator[tuple]:
    return zip(*(column.cells for column in columns), strict=True)
