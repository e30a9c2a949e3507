"""Formats results as HTML for notebooks and as single lines; all text is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

ROWS = 50
"""Maximum number of rows in a notebook."""


def table_html(
    headings: Sequence[str],
    rows: Sequence[Sequence[Any]],
    marked: int | None = None,
    most: int = ROWS,
    name: str = "",
) -> str:
    """Return a table of at most ``most`` rows; the row at index ``marked`` is bold.

    ``name`` is the table's CSS class.
    """
    lines = [
        _row(row, "td", ' style="font-weight:bold"' if number == marked else "")
        for number, row in enumerate(rows[:most])
    ]
    given = f' class="{name}"' if name else ""
    left = len(rows) - most
    more = _paragraph(f"and {left} more") if left > 0 else ""
    head, body = _row(headings, "th"), "".join(lines)
    return f"<table{given}><thead>{head}</thead><tbody>{body}</tbody></table>{more}"


def rich_html(table: Table) -> str:
    """Convert a table for the terminal to HTML."""
    title = f"<h5>{_escape(_plain(table.title))}</h5>" if table.title else ""
    headings = [_plain(column.header) for column in table.columns]
    cells = [[_plain(cell) for cell in column.cells] for column in table.columns]
    return title + table_html(headings, list(zip(*cells, strict=True)))


def _plain(text: Any) -> str:
    return (text if isinstance(text, Text) else Text.from_markup(str(text))).plain


def page_html(title: str, facts: Mapping[str, Any], *tables: str, notes: Iterable[str] = ()) -> str:
    """Return a page with a title, labelled facts (except empty ones), HTML tables and notes."""
    shown = [(name, value) for name, value in facts.items() if value not in ("", None)]
    lines = "".join(
        f"<tr><th>{_escape(name)}</th><td>{_escape(value)}</td></tr>" for name, value in shown
    )
    listed = f"<table><tbody>{lines}</tbody></table>" if lines else ""
    below = "".join(map(_paragraph, notes))
    return f"<div><h4>{_escape(title)}</h4>{listed}{''.join(tables)}{below}</div>"


def short_repr(result: object, **facts: Any) -> str:
    """Return one line with the name of an object's class and facts about it."""
    listed = ", ".join(f"{name}={value}" for name, value in facts.items())
    return f"{type(result).__name__}({listed})"


def _row(cells: Sequence[Any], tag: str, style: str = "") -> str:
    return f"<tr{style}>{''.join(f'<{tag}>{_escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _paragraph(text: str) -> str:
    return f"<p>{_escape(text)}</p>"


def _escape(value: Any) -> str:
    return html.escape("" if value is None else str(value))
