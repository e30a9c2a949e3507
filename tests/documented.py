"""What the documentation shows: its commands, Python, files and configurations, page by page."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(^|\s+)# .*$", re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.(?:yaml|py))$", re.MULTILINE)


class Step(NamedTuple):
    """What a reader does with a block: write a ``file``, run ``python``, or run a command."""

    kind: str
    text: str
    file: str = ""


def pages() -> list[Path]:
    """All pages for people."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def name_of(page: Path) -> str:
    """The path of a page within the project."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language, as they stand."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for _, kind, text in found if kind == language]


def steps(page: Path) -> list[Step]:
    """What a reader does on a page, in its order.

    A block of Python or YAML whose first line is a comment with a file's name is that file.
    """
    found = []
    for _, language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        file = _FILE.match(text) if language in ("yaml", "python") else None
        if file:
            found.append(Step("file", text, file[1]))
        elif language == "python":
            found.append(Step("python", text))
        elif language == "sh":
            found.extend(Step("command", command) for command in split(text))
    return found


def commands() -> dict[str, list[str]]:
    """Each command of a ``sh`` block, without comments, with the names of its pages."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for step in steps(page):
            if step.kind == "command":
                found.setdefault(step.text, []).append(name_of(page))
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
