"""Writes a page that explains a result to readers who know the images but not machine learning."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xnas_tf.utils.html_page import Section, figure_html, html_page
from xnas_tf.utils.markup import table_html
from xnas_tf.utils.number_format import percent_text

PAGE = "index.html"
"""Name of the page's file in the folder of the result."""


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
    """The contents of a page, as plain text.

    Attributes:
        title: The title.
        summary: Paragraphs on what was done and how far the result can be trusted.
        metrics: The metrics.
        findings: The table of findings.
        captions: Captions by picture name, in the order in which the pictures appear on the page.
        limits: Statements about what the result does not show.
        by_class: A table of the classes, with the title of its section.
        problem: A paragraph in red before the summary, if the result should not be used.
    """

    title: str
    summary: Sequence[str]
    metrics: Sequence[Metric] = ()
    findings: Rows = ((), ())
    captions: Mapping[str, Caption] = field(default_factory=dict)
    limits: Sequence[str] = ()
    by_class: tuple[str, Rows] = ("", ((), ()))
    problem: str = ""

    def caption(self, name: str) -> Caption:
        """Return a picture's caption, or a title derived from its name."""
        return self.captions.get(name) or Caption(name.replace("_", " "), "")

    def html(self, subtitle: str, pictures: Mapping[str, bytes]) -> str:
        """Return the page as HTML; ``pictures`` contains PNGs by name."""
        problem = f'<p class="problem">{_marked(self.problem)}</p>' if self.problem else ""
        summary = f"{problem}{_paragraphs(self.summary)}"
        sections = [Section("summary", "In brief", "", summary)]
        headings, rows = self.findings
        if rows:
            content = _scroller("Findings", table_html(headings, rows, most=len(rows)))
            sections.append(Section("findings", "Findings", "", content))
        known = [name for name in self.captions if name in pictures]
        for name in [*known, *sorted({*pictures} - {*known})]:
            title, text = self.caption(name)
            shown = figure_html(pictures[name], title)
            sections.append(Section(name, title, text, shown))
        title, (headings, rows) = self.by_class
        if rows:
            content = _scroller(title, table_html(headings, rows, most=len(rows)))
            sections.append(Section("classes", title, "", content))
        if self.metrics:
            title = "What the numbers mean"
            shown = table_html(["metric", "value", "meaning"], self.metrics, name="metrics")
            sections.append(Section("metrics", title, "", _scroller(title, shown)))
        sections.append(Section("limits", "What this does not show", "", _items(self.limits)))
        return html_page(self.title, sections, subtitle)


def percent(value: float | None) -> str:
    """Format a share as text."""
    return "unknown" if value is None else percent_text(value)


def listed(names: Sequence[str]) -> str:
    """Join names with commas, and with *and* before the last one."""
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def _paragraphs(texts: Sequence[str]) -> str:
    return "".join(f'<p class="about">{_marked(text)}</p>' for text in texts if text)


def _items(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_marked(text)}</li>' for text in texts)}</ul>"


def _marked(text: str) -> str:
    """Escape a text for HTML, and mark what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _scroller(label: str, content: str) -> str:
    return f'<div class="scroller" tabindex="0" role="region" aria-label="{label}">{content}</div>'
