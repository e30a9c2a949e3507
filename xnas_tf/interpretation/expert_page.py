"""Writes a page that explains a result to readers who know the images but not machine learning."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from xnas_tf.utils.html_page import Section, figure_html, html_page
from xnas_tf.utils.markup import table_html
from xnas_tf.utils.number_format import percent_text

MOST_LISTED = 20
"""Maximum number of names in a sentence; there may be 1,000 classes."""


class Metric(NamedTuple):
    """A metric: its name, its value as text, and its meaning."""

    name: str
    value: str
    meaning: str


Rows = tuple[Sequence[str], Sequence[Sequence[str]]]
"""The headings and the rows of a table."""


class Caption(NamedTuple):
    """A picture's title, and how to read the picture."""

    title: str
    text: str


@dataclass(frozen=True)
class ExpertPage:
    """The contents of a page, as plain text."""

    title: str
    summary: Sequence[str]  # paragraphs on what was done and how far the result can be trusted
    metrics: Sequence[Metric] = ()
    findings: Rows = ((), ())
    captions: Mapping[str, Caption] = field(default_factory=dict)  # by picture, in their order
    limits: Sequence[str] = ()  # statements about what the result does not show
    by_class: tuple[str, Rows] = ("", ((), ()))  # a table of the classes, with its title
    problem: str = ""  # in red before the summary, if the result should not be used

    def caption(self, name: str) -> Caption:
        """Return a picture's caption, or a title derived from its name."""
        return self.captions.get(name) or Caption(name.replace("_", " "), "")

    def write(self, folder: Path, subtitle: str, pictures: Mapping[str, bytes]) -> None:
        """Write the page as ``index.html``; ``pictures`` contains PNGs by name."""
        (folder / "index.html").write_text(self.html(subtitle, pictures), encoding="utf-8")

    def html(self, subtitle: str, pictures: Mapping[str, bytes]) -> str:
        """Return the page as self-contained HTML."""
        texts = [("problem", self.problem), *(("about", text) for text in self.summary)]
        summary = "".join(f'<p class="{kind}">{_marked(text)}</p>' for kind, text in texts if text)
        sections = [Section("summary", "In brief", "", summary)]
        sections += _table_section("findings", "Findings", self.findings)
        known = [name for name in self.captions if name in pictures]
        for name in [*known, *sorted({*pictures} - {*known})]:
            title, text = self.caption(name)
            sections.append(Section(name, title, text, figure_html(pictures[name], title)))
        sections += _table_section("classes", *self.by_class)
        meanings = ["metric", "value", "meaning"], self.metrics
        sections += _table_section("metrics", "What the numbers mean", meanings, "metrics")
        limits = "".join(f"<li>{_marked(text)}</li>" for text in self.limits)
        sections.append(Section("limits", "What this does not show", "", f"<ul>{limits}</ul>"))
        return html_page(self.title, sections, subtitle)


def number(value: float | None) -> str:
    """Format a number with two decimals, and None as a dash."""
    return "–" if value is None else f"{value:.2f}"


def share(value: float | None) -> str:
    """Format a share as a percentage, and None as a dash."""
    return "–" if value is None else percent_text(value)


def percent(value: float | None) -> str:
    """Format a share as a percentage, for use in sentences."""
    return "unknown" if value is None else percent_text(value)


def listed(names: Sequence[str]) -> str:
    """Join names with commas, and with *and* before the last one or the number left out."""
    if len(names) > MOST_LISTED:
        names = [*names[: MOST_LISTED - 1], f"{len(names) - MOST_LISTED + 1:,} more"]
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def _table_section(anchor: str, title: str, table: Rows, kind: str = "") -> list[Section]:
    """Return a section with a table that scrolls if it is too wide; none if it has no rows."""
    headings, rows = table
    if not rows:
        return []
    shown = table_html(headings, rows, most=len(rows), name=kind)
    frame = f'<div class="scroller" tabindex="0" role="region" aria-label="{title}">{shown}</div>'
    return [Section(anchor, title, "", frame)]


def _marked(text: str) -> str:
    """Escape a text for HTML, and mark what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))
