"""Pages that mkdocs makes while it builds: the commands' help, and the notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from xnas_tf.cli import main

NOTEBOOK = Path(__file__).parents[1] / "docs/get-started/notebook.ipynb"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages; called by mkdocs (``hooks`` in mkdocs.yml)."""
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "get-started/notebook.md", content=notebook_page(NOTEBOOK)))
    return files


def commands_page() -> str:
    """What ``--help`` says of each command, as Markdown."""
    intro = (
        "# Command line\n\nOn this page you find every command and option, as `--help` shows "
        "them. Results go to stdout, messages to stderr. The exit code is 0 for success, 1 for a "
        "run that failed, 2 for wrong input, 130 after Ctrl-C and 143 after SIGTERM. In a "
        "checkout, `bin/xnas-tf` is the same command and sets itself up. [Shell "
        "completion](../get-started/installation.md#shell-completion) completes commands, "
        "options, runs and keys.\n"
    )
    pages = (f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps(main, "xnas-tf"))
    return "\n".join([intro, *pages])


def _helps(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator:
    own = {**command.context_settings, "terminal_width": 80}
    context = click.Context(command, parent=parent, info_name=name.split()[-1], **own)
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            yield from _helps(command.commands[each], f"{name} {each}", context)


def notebook_page(path: Path) -> str:
    """A notebook with the outputs it was saved with, as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(text for cell in cells for text in _cell(cell)) + "\n"


def _cell(cell: dict) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for is_image, outputs in groupby(map(_output, cell["outputs"]), key=lambda each: each[0]):
        text = "".join(each for _, each in outputs).strip()
        if is_image:
            yield f"![What the lines above draw](data:image/png;base64,{text})"
        elif text:
            yield f"```text\n{text}\n```"


def _output(output: dict) -> tuple[bool, str]:
    """Whether it is a picture, and its text; none of what is told on stderr."""
    data = output.get("data", {})
    if "image/png" in data:
        return True, "".join(data["image/png"])
    told = output.get("name") == "stderr"
    text = "".join("" if told else output.get("text") or data.get("text/plain", ""))
    return False, text.rstrip("\n") + "\n"
