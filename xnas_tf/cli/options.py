"""Arguments and options shared by several commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from xnas_tf.candidate import CHOICES
from xnas_tf.cli import completion
from xnas_tf.errors import suggest
from xnas_tf.utils.progress import display


class CandidateType(click.ParamType):
    """A candidate, given as ``recommended``, ``best`` or an id."""

    name = "candidate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Convert a value; suggest the nearest match if it is invalid."""
        if isinstance(value, int) or value in CHOICES:
            return value
        if value.isascii() and value.isdecimal():
            return int(value)
        self.fail(suggest(value, (*CHOICES, "an id")), param, ctx)


def format_option(*names: str) -> Callable:
    """Return the ``--format`` option; the first name is the default."""
    return click.option(
        "--format", "form", type=click.Choice(names), default=names[0], help="Output format."
    )


def set_option(metavar: str, text: str, name: str = "overrides", **more: Any) -> Callable:
    """Return the repeatable ``--set`` option."""
    return click.option("--set", name, multiple=True, metavar=metavar, help=text, **more)


def dataset_option(text: str, **more: Any) -> Callable:
    """Return the ``--dataset`` option."""
    return click.option("--dataset", shell_complete=completion.datasets, help=text, **more)


def candidate_option(text: str, *name: str, **more: Any) -> Callable:
    """Return the ``--candidate`` option."""
    more |= {"shell_complete": completion.candidates, "metavar": "|".join((*CHOICES, "ID"))}
    return click.option("--candidate", *name, type=CandidateType(), help=text, **more)


def candidates_option(text: str) -> Callable:
    """Return the repeatable ``--candidate`` option."""
    return candidate_option(text, "candidates", multiple=True)


def _checked_picture(
    _context: click.Context, option: click.Parameter, path: Path | None
) -> Path | None:
    """Check, before any work starts, that the picture can be written."""
    from xnas_tf.utils.pictures import check_picture

    if path is not None:
        check_picture(path, option.opts[0])
    return path


def _verbosity_option(*names: str, verbose: int, text: str) -> Callable:
    def callback(_context: click.Context, _option: click.Parameter, is_given: bool) -> None:
        if is_given and (handler := display()):
            handler.set_verbosity(verbose)

    return click.option(*names, is_flag=True, expose_value=False, callback=callback, help=text)


PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)

RUN = click.argument("run", type=PATH, shell_complete=completion.runs)
FORMAT = format_option("table", "json")
QUIET = _verbosity_option("-q", "--quiet", verbose=0, text="Show warnings only.")
VERBOSE = _verbosity_option("-v", "--verbose", verbose=2, text="Print a line for each epoch.")
UNSAFE = click.option(
    "--unsafe",
    "safe",
    is_flag=True,
    callback=lambda _context, _option, unsafe: not unsafe,
    help="Also load models that contain or need code, such as Lambda layers.",
)
INPUT_RANGE = click.option(
    "--input-range",
    default="auto",
    metavar="auto|LOW-HIGH",
    help="Range of the model's input values, such as 0-1, 0-255, -1-1 or 0-16; `auto` infers it "
    "from the first layers.",
)
PLOT = click.option(
    "--plot", type=FILE, callback=_checked_picture, help="Also save a plot as a PNG file."
)
PICTURE = click.option(
    "--out", type=FILE, callback=_checked_picture, help="Also save a picture as a PNG file."
)
OVERRIDES = set_option(
    "KEY=VALUE", "Override a configuration key (may be repeated).", shell_complete=completion.keys
)
CANDIDATE = candidate_option(
    "Candidate to use; `best` is the one with the lowest error.  [default: recommended]"
)
CANDIDATES = candidates_option(
    "Candidate to use (may be repeated); `best` is the one with the lowest error.  "
    "[default: recommended]"
)
PREFER = click.option(
    "--prefer",
    metavar="error|OBJECTIVE|knee",
    help="Criterion for choosing the recommended candidate.",
)
WITHIN = click.option(
    "--within",
    type=float,
    metavar="POINTS",
    help="Percentage points by which the recommended candidate's error may exceed the lowest "
    "error.  [default: the 95% interval of the lowest error, at least 2 points]",
)
