"""What all commands share: their group, errors for people, tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from xnas_tf.cli import completion
from xnas_tf.errors import XnasError
from xnas_tf.version import __version__

RUN = click.argument("run", type=click.Path(path_type=Path), shell_complete=completion.runs)


def clear_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Ends with one message and the right exit code where a person can mend the matter."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except XnasError as error:
            click.echo(f"xnas-tf: {error}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("xnas-tf: interrupted; the same command goes on from here", err=True)
            sys.exit(130)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="xnas-tf")
def main() -> None:
    """Neural architecture search for networks that are accurate and can be understood.

    \b
    Example:
      xnas-tf data folder:pets                   what a search would do to your images
      xnas-tf search configs/quickstart.yaml     search, on one process
      horovodrun -np 8 xnas-tf search CONFIG     search, on eight ranks
      xnas-tf search CONFIG --engine ray         search, a candidate a GPU, and replace what dies
      xnas-tf pareto runs/quickstart             what came out
      xnas-tf report runs/quickstart             the same as one HTML file, with what it looks at
      xnas-tf retrain runs/quickstart            the best in full, with several seeds
      xnas-tf export runs/quickstart             SavedModels of the best
    """


def print_tables(tables: Iterable[Any]) -> None:
    """Prints tables as wide as the terminal is."""
    from rich.console import Console

    # A genotype is some 100 characters long; a file or a pipe has room for it in one line.
    console = Console(width=None if sys.stdout.isatty() else 240)
    for table in tables:
        console.print(table)
