"""Parts shared by all commands: the command group, error messages and output."""

from __future__ import annotations

import errno
import io
import json
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from xnas_tf.cli.output import make_output_robust
from xnas_tf.errors import XnasError
from xnas_tf.utils.progress import displayed, log_message
from xnas_tf.version import __version__

if TYPE_CHECKING:
    from rich.console import RenderableType

_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Command(click.Command):
    """A command whose errors name its options instead of the library's arguments."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except XnasError as error:
            error.args = (with_options(str(error)),)
            raise


class _Group(click.Group):
    """Command group that reports user errors with a single message and the right exit code."""

    command_class = _Command
    group_class = type  # for subgroups as well

    def main(self, *args: Any, **options: Any) -> Any:
        """See ``click.Group.main``."""
        make_output_robust()
        return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        try:
            with displayed():
                return super().invoke(ctx)
        except XnasError as error:
            click.echo(f"xnas-tf: {error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            click.echo(f"xnas-tf: the output cannot be written: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("xnas-tf: interrupted; to resume, run the same command again", err=True)
            sys.exit(130)


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="xnas-tf")
def main() -> None:
    """Neural architecture search for accurate and interpretable networks.

    \b
    Example:
      xnas-tf data folder:pets                 inspect a data set
      xnas-tf search configs/quickstart.yaml   search in one process
      horovodrun -np 8 xnas-tf search CONFIG   train each candidate on 8 ranks
      xnas-tf search CONFIG --engine ray       train a candidate on each GPU
      xnas-tf pareto runs/quickstart           list the best candidates
      xnas-tf report runs/quickstart           write an HTML report
      xnas-tf retrain runs/quickstart          fully train the recommended one
      xnas-tf explain runs/quickstart          show what its model looks at
      xnas-tf disentangle runs/quickstart      find the path of each class in it
      xnas-tf interpret runs/quickstart        explain it with learned attributes
      xnas-tf export runs/quickstart           export it as a SavedModel
    """


def with_options(text: str) -> str:
    """Replace each Python `argument` named in a message with this command's matching option."""
    options = {
        name: parameter.opts[0]
        for parameter in click.get_current_context().command.params
        if isinstance(parameter, click.Option)
        for name in (parameter.name, parameter.opts[0].lstrip("-").replace("-", "_"))
    }
    return re.sub(r"`(\w+)(?:=False)?`", lambda found: options.get(found[1], found[0]), text)


def print_message(text: str) -> None:
    """Show a message or warning, replacing argument names with options."""
    log_message(with_options(text))


def print_result(
    form: str, facts: dict[str, Any], tables: Callable[[], Iterable[RenderableType]]
) -> None:
    """Print a result as JSON, or as the tables that ``tables`` returns."""
    if form == "json":
        click.echo(json.dumps(facts, indent=2))
    else:
        print_tables(tables())


def print_tables(tables: Iterable[RenderableType], err: bool = False) -> None:
    """Print tables (on stderr if ``err`` is set), splitting those wider than the terminal."""
    from rich.console import Console
    from rich.table import Table

    from xnas_tf.reporting.wide_tables import ANY_WIDTH, split_to_fit

    stream = sys.stderr if err else sys.stdout
    if stream.isatty():
        console = Console(stderr=err)
        for table in tables:
            for part in split_to_fit(table, console) if isinstance(table, Table) else [table]:
                console.print(part)
        return
    # In a file or a pipe, each row takes one line, without blanks at its end.
    written = io.StringIO()
    console = Console(width=ANY_WIDTH, file=written)
    for table in tables:
        console.print(table)
    for line in written.getvalue().splitlines():
        click.echo(line.rstrip(), err=err)
