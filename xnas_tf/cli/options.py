"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from xnas_tf.candidate import CHOICES
from xnas_tf.cli import completion
from xnas_tf.errors import suggest
from xnas_tf.utils.progress import display


class CandidateType(click.ParamType):
    """``recommended``, ``best``, or an id."""

    name = "candidate"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the placeholder for a value in the help."""
        return "|".join((*CHOICES, "ID"))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Convert a value; suggest the nearest match if it is invalid."""
        if isinstance(value, int) or value in CHOICES:
            return value
        if value.isascii() and value.isdecimal():
            return int(value)
        self.fail(suggest(value, (*CHOICES, "an id")), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that start with the incomplete one."""
        return [CompletionItem(word) for word in CHOICES if word.startswith(incomplete)]


def format_option(*names: str) -> Callable:
    """Return the option ``--format``, whose default is the first of the names."""
    return click.option("--format", "form", type=click.Choice(names), default=names[0])


def _checked_picture(
    _context: click.Context, option: click.Parameter, path: Path | None
) -> Path | None:
    """Check before any work that the picture can be written."""
    from xnas_tf.utils.pictures import check_picture

    if path is not None:
        check_picture(path, option.opts[0])
    return path


def _set_verbosity(verbose: int) -> Callable:
    def callback(_context: click.Context, _option: click.Parameter, is_given: bool) -> None:
        handler = display()
        if is_given and handler:
            handler.set_verbosity(verbose)

    return callback


def _verbosity_option(*names: str, verbose: int, text: str) -> Callable:
    return click.option(
        *names, is_flag=True, expose_value=False, callback=_set_verbosity(verbose), help=text
    )


PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)

RUN = click.argument("run", type=PATH, shell_complete=completion.runs)
FORMAT = format_option("table", "json")
QUIET = _verbosity_option("-q", "--quiet", verbose=0, text="Show warnings only.")
VERBOSE = _verbosity_option("-v", "--verbose", verbose=2, text="Show a line for each epoch.")
UNSAFE = click.option(
    "--unsafe",
    "safe",
    is_flag=True,
    callback=lambda _context, _option, unsafe: not unsafe,
    help="Load models that contain code of their own, as a Lambda layer does.",
)
PLOT = click.option("--plot", type=FILE, callback=_checked_picture, help="Draw a PNG.")
PICTURE = click.option("--out", type=FILE, callback=_checked_picture, help="Draw a PNG.")
OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=completion.keys,
    help="Override a key.",
)
CANDIDATE = click.option(
    "--candidate",
    type=CandidateType(),
    help="A candidate of a run; `best` has the lowest error.  [default: recommended]",
)
CANDIDATES = click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=CandidateType(),
    help="May be repeated; `best` has the lowest error.  [default: recommended]",
)
PREFER = click.option(
    "--prefer",
    metavar="error|OBJECTIVE|knee",
    help="What decides which candidate is recommended, among those better than chance or --within.",
)
WITHIN = click.option(
    "--within",
    type=float,
    metavar="POINTS",
    help="How far the error of the recommended candidate may exceed the best.  [default: in its "
    "95% interval, or 2]",
)
