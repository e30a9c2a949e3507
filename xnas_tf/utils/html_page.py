"""Builds a self-contained HTML page from titled sections."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

MARK = '<meta name="generator" content="xnas-tf'
"""Marks a file as a page of xnas-tf, which a newer page may replace."""


@dataclass(frozen=True)
class Section:
    """A section of a page."""

    id: str  # of the section's anchor in the page, for links
    title: str  # its heading, and its link in the navigation
    about: str = ""  # plain text on the content and how to read it
    content: str = ""  # HTML with escaped users' text; style attributes have no effect


def html_page(
    title: str,
    sections: Iterable[Section] = (),
    subtitle: str = "",
    scripts: Iterable[str] = (),
    data: Any = None,
) -> str:
    """Return a page with sticky navigation, in the system's light or dark colours.

    The content security policy allows only the page's own script and style, and embedded pictures.
    Title and subtitle are plain text. The scripts are JavaScript sources, which run as one script.
    Their data become the content of the ``#data`` element, as JSON without ``<``, so that text in
    them cannot become markup.
    """
    style, page = _asset("page.css"), _asset("page.html")
    script = "\n".join(['"use strict";', *scripts])
    chosen = list(sections)
    links = "".join(f'<a href="#{escape(s.id)}">{escape(s.title)}</a>' for s in chosen)
    content = Template(page).substitute(
        mark=f'{MARK} report">',
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'",
        title=escape(title),
        subtitle=escape(subtitle),
        style=style,
        links=links,
        sections="".join(map(_section_html, chosen)),
        scripts="" if data is None else _scripts_html(script, data),
    )
    # The name of a folder may contain bytes that are not valid text.
    return content.encode("utf-8", "xmlcharrefreplace").decode()


def picture_uri(png: bytes) -> str:
    """Return a PNG picture as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def figure_html(png: bytes, alt: str) -> str:
    """Return a picture on a white card; on narrow pages, it scrolls."""
    title = escape(alt)
    picture = f'<img src="{picture_uri(png)}" alt="{title}">'
    card = f'<div class="card" tabindex="0" role="region" aria-label="{title}">{picture}</div>'
    return f'<figure class="wide">{card}</figure>'


def _section_html(section: Section) -> str:
    about = f'<p class="about">{escape(section.about)}</p>' if section.about else ""
    name, title = escape(section.id), escape(section.title)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        f"{about}{section.content}</section>"
    )


def _scripts_html(script: str, data: Any) -> str:
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        "<noscript><p>This page draws its figures with JavaScript, which your browser does not "
        f'run.</p></noscript><script type="application/json" id="data">{text}</script>'
        f"<script>{script}</script>"
    )


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
