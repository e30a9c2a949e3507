"""How candidates are named on the command line, the same for all commands."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from xnas_tf.candidate import CHOICES
from xnas_tf.errors import suggest


class CandidateType(click.ParamType):
    """``recommended``, ``best``, or an id."""

    name = "candidate"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What stands for it in the help."""
        return "|".join((*CHOICES, "ID"))

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Reads one; a wrong word is refused with the nearest right one."""
        if isinstance(value, int) or value in CHOICES:
            return value
        if value.isascii() and value.isdecimal():
            return int(value)
        self.fail(suggest(value, (*CHOICES, "an id")), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words that begin so."""
        return [CompletionItem(word) for word in CHOICES if word.startswith(incomplete)]


CANDIDATE = click.option(
    "--candidate",
    type=CandidateType(),
    help="Of a run: `best` has the least error.  [default: recommended]",
)
CANDIDATES = click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=CandidateType(),
    help="May be repeated; `best` has the least error.  [default: recommended]",
)
PREFER = click.option(
    "--prefer",
    metavar="error|OBJECTIVE|knee",
    help="What decides on the one recommended, among all better than chance (or within --within).",
)
WITHIN = click.option(
    "--within",
    type=float,
    metavar="POINTS",
    help="How far above the best error the one recommended may be.  [default: in its 95% "
    "interval, or 2]",
)
