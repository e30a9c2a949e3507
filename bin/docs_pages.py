"""Generates pages while mkdocs builds, and the menu entries that lead to them.

These are the notebook, a page for each section of the configuration, and a page for each object of
the Python reference. The last two are taken from docs/reference/{configuration,api}.md, and an
index replaces them there. The commands' help is added to docs/reference/commands.md. In the
sources, links lead to files of the checkout, so that they work without the site.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click
import griffe
from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from xnas_tf.cli import main

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
_SECTION = re.compile(r"^## `?(\w+)`?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^##+ (.*)$", re.MULTILINE)
_OBJECT = re.compile(r"^::: xnas_tf\.([\w.]+)\n((?: +\S.*\n)*)\n*", re.MULTILINE)
_STYLE = re.compile(r'<style.*?</style>| class="dataframe"| border="1"', re.DOTALL)
_LINK = re.compile(r"configuration\.md#([\w-]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of sections and objects to the menu; mkdocs calls this (``hooks``)."""
    (reference,) = (each["Reference"] for each in config.nav if "Reference" in each)
    for entry in reference:
        for title, path in entry.items():
            folder = path.removesuffix(".md")
            if folder == "reference/configuration":
                names = list(sections())
            elif folder == "reference/api":
                names = list(objects())
            else:
                continue
            entry[title] = [path, *({_short(name): f"{folder}/{name}.md"} for name in names)]
    return config


def _short(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    pages = {
        "get-started/notebook.md": notebook_page(ROOT / "docs/get-started/notebook.ipynb"),
        **{f"reference/configuration/{name}.md": text for name, text in sections().items()},
        **{f"reference/api/{name}.md": text for name, text in objects().items()},
    }
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Replace what has its own pages with an index, and make links point to these pages."""
    if page.file.src_uri == "reference/configuration.md":
        links = (f"- [`{name}`](configuration/{name}.md)" for name in sections())
        return "\n".join([_SECTION.sub("", markdown), *links])
    if page.file.src_uri == "reference/api.md":
        package = griffe.load("xnas_tf", search_paths=[ROOT])
        return _OBJECT.sub(lambda found: _entry(found[1], package), markdown)
    if page.file.src_uri == "reference/commands.md":
        return f"{markdown}\n{helps()}"
    places = _anchors()
    markdown = markdown.replace("notebook.ipynb)", "notebook.md)")
    return _LINK.sub(lambda found: f"configuration/{places[found[1]]}", markdown)


def sections() -> dict[str, str]:
    """Return the sections of the configuration as pages, by name."""
    text = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    return {
        name: f"# `{name}`\n{body.replace('### ', '## ')}" for name, body in _SECTION.findall(text)
    }


def _anchors() -> dict[str, str]:
    """Return the page and anchor for each anchor in the page that contains all sections."""
    found = {}
    for name, text in sections().items():
        found[name] = f"{name}.md"
        for heading in _HEADING.findall(text):
            anchor = slugify(heading, "-")
            found[anchor] = f"{name}.md#{anchor}"
    return found


def objects() -> dict[str, str]:
    """Return the objects of the Python reference as pages, by their path within the package."""
    text = (REFERENCE / "api.md").read_text(encoding="utf-8")
    return {name: f"::: xnas_tf.{name}\n{options}" for name, options in _OBJECT.findall(text)}


def _entry(name: str, package: griffe.Object | griffe.Alias) -> str:
    documented = package[name].docstring
    summary = documented.value.splitlines()[0] if documented else ""
    return f"- [`{name}`](api/{name}.md): {summary}\n"


def helps() -> str:
    """Return the ``--help`` of each command as Markdown."""
    pages = (f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(main, "xnas-tf"))
    return "\n".join(pages)


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator:
    own = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, parent=parent, info_name=name.split()[-1], **own)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            yield from _helps(command.commands[each], f"{name} {each}", context)


def notebook_page(path: Path) -> str:
    """Convert a notebook and its saved outputs to Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(text for cell in cells for text in _cell(cell)) + "\n"


def _cell(cell: dict) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for kind, outputs in groupby(map(_output, cell["outputs"]), key=lambda each: each[0]):
        text = "".join(each for _, each in outputs).strip()
        if kind == "image/png":
            yield f"![Output of the code above](data:image/png;base64,{text})"
        elif kind == "text/html":
            yield _STYLE.sub("", text)
        elif text:
            yield f"```text\n{text}\n```"


def _output(output: dict) -> tuple[str, str]:
    """Return the kind of an output and its text, which is empty for messages on stderr."""
    data = output.get("data", {})
    for kind in ("image/png", "text/html"):
        if kind in data:
            return kind, "".join(data[kind])
    is_message = output.get("name") == "stderr"
    text = "".join("" if is_message else output.get("text") or data.get("text/plain", ""))
    return "text/plain", text.rstrip("\n") + "\n"
