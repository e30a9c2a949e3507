"""The command that starts a project."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from xnas_tf.cli import completion
from xnas_tf.cli.group import main, print_message, print_tables
from xnas_tf.cli.options import PATH

TRIAL = "--set search.candidates=2 --set training.epochs=2"
"""Options of a search that shows within minutes whether everything works."""


@main.command()
@click.argument("folder", metavar="[DIR]", type=PATH, default=".")
@click.option(
    "--dataset",
    metavar="NAME",
    shell_complete=completion.datasets,
    help="Data set name, as in `xnas-tf data`.  [default: the data set in DIR, if there is only "
    "one]",
)
def init(folder: Path, dataset: str | None) -> None:
    """Create a configuration and a model for your data.

    The command writes xnas.yaml and mine.py to DIR (by default, the current folder). Both files are
    adapted to the size, classes and number of your images. You can edit both files freely; comments
    explain the options. Existing files are never overwritten.

    \b
    Example:
      xnas-tf init --dataset folder:pets
      xnas-tf init digits --dataset mnist5k
    """
    from xnas_tf.project import init as init_project
    from xnas_tf.reporting.dataset import data_tables

    project = init_project(folder, dataset, print_message)
    print_tables(data_tables(project.report))
    click.echo(f"wrote {project.config} and {project.model}", err=True)
    commands = [
        *([] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]),
        f"xnas-tf search -v {TRIAL} --run-dir runs/trial   # a short trial",
        "xnas-tf search",
        "xnas-tf report runs/xnas",
    ]
    click.echo("\n  ".join(["\nRead both files, then:", *commands]), err=True)
