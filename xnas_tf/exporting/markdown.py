"""Formats text, code, lists and tables as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def text(given: object) -> str:
    """Escape text that may come from a user, so that Markdown shows it literally on one line.

    Some Markdown renderers do not support a backslash before ``|``, ``~`` and ``$``.
    """
    escaped = html.escape(" ".join(str(given).split()), quote=False)
    escaped = re.sub(r"([\\`*\[\]]|\b_|_\b|(?<!\w)_|_(?!\w))", r"\\\1", escaped)
    return re.sub(r"[|~$]", lambda found: f"&#{ord(found[0])};", escaped)


def code(given: object) -> str:
    """Format text as inline code on one line, for use outside tables."""
    line = " ".join(str(given).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def code_block(language: str, code: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{code}\n```"


def markdown_list(texts: Iterable[str]) -> str:
    """Return escaped texts as a list."""
    return "\n".join(f"- {text(each)}" for each in texts)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; its cells are Markdown, too."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
