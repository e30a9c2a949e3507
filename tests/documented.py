"""What the documentation shows: its commands, Python and configurations, and where they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(^|\s+)# .*$", re.MULTILINE)


def pages() -> list[Path]:
    """All pages for people."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language, as they stand."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for _, kind, text in found if kind == language]


def commands() -> dict[str, list[str]]:
    """Each command of a ``sh`` block, without comments, with the names of its pages."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for block in blocks(page, "sh"):
            for command in split(block):
                found.setdefault(command, []).append(str(page.relative_to(ROOT)))
    return found


def split(block: str) -> list[str]:
    """The commands of a block, one a line; one that begins with ``#!`` is a single script."""
    if block.startswith("#!"):
        return [block]
    lines = _COMMENT.sub("", block).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def head_command(path: Path) -> list[str]:
    """The words of the command in a configuration's first comment."""
    _, _, text = path.read_text(encoding="utf-8").partition("#   ")
    lines = [text.splitlines()[0]]
    for line in text.splitlines()[1:]:
        if not lines[-1].endswith("\\"):
            break
        lines.append(line)
    return shlex.split(" ".join(line.strip("# \\") for line in lines))


def mentioned() -> list[str]:
    """Calls of xnas-tf in running text, such as `xnas-tf status RUN`."""
    texts = (_BLOCK.sub("", page.read_text(encoding="utf-8")) for page in pages())
    spans = (span for text in texts for span in re.findall(r"`([^`]+)`", text))
    return sorted({" ".join(span.split()) for span in spans if span.startswith("xnas-tf ")})
