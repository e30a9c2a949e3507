"""Commands that inspect a data set, start a project and run a search."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from xnas_tf.cli import completion
from xnas_tf.cli import options as shared
from xnas_tf.cli.group import main, print_message, print_result, print_tables
from xnas_tf.cli.run import print_pareto
from xnas_tf.errors import InputError
from xnas_tf.registry import describe


@main.command()
@click.argument("dataset", shell_complete=completion.datasets)
@shared.OVERRIDES
@shared.PICTURE
@shared.FORMAT
@shared.QUIET
def data(dataset: str, overrides: tuple[str, ...], out: Path | None, form: str) -> None:
    """Inspect a data set and show how a search prepares it.

    DATASET is a configuration file or a data set name: folder:PATH, csv:FILE, npz:FILE, idx:FOLDER,
    quickdraw:FOLDER, imagenet16_120:FOLDER, tfrecord:FILES, keras:NAME, tfds:NAME, mnist5k, digits
    or module:function. The command lists any problems with the images. With --out, the command also
    draws a few images of each class as the network receives them.

    \b
    Example:
      xnas-tf data folder:pets --out pets.png
      xnas-tf data configs/quickstart.yaml --set dataset.seed=1
    """
    from xnas_tf.reporting.dataset import data_tables, inspect_data

    report = inspect_data(dataset, overrides, print_message)
    print_result(form, report.as_dict(), lambda: data_tables(report))
    if out:
        report.save_sheet(out)
        print_message(f"wrote {out}")


@main.command()
@click.argument("folder", metavar="[DIR]", type=shared.PATH, default=".")
@shared.dataset_option(
    "Data set name, as in `xnas-tf data`.  [default: the data set in DIR, if there is only one]",
    metavar="NAME",
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
    trial = "--set search.candidates=2 --set training.epochs=2 --run-dir runs/trial"
    commands = [
        *([] if folder.resolve() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]),
        f"xnas-tf search -v {trial}   # a short trial",
        "xnas-tf search",
        "xnas-tf report runs/xnas",
    ]
    click.echo("\n  ".join(["\nRead both files, then:", *commands]), err=True)


@main.command()
@click.argument("config", required=False, type=shared.PATH, shell_complete=completion.configs)
@click.option(
    "--run-dir", type=shared.PATH, help="Run directory.  [default: runs/NAME for NAME.yaml]"
)
@shared.OVERRIDES
@click.option("--fresh", is_flag=True, help="Move any existing run aside and start from scratch.")
@click.option(
    "--profile", is_flag=True, help="Profile the second candidate on rank 0 for TensorBoard."
)
@click.option(
    "--engine",
    type=click.Choice(["auto", "local", "horovod", "ray"]),
    help="Engine that trains the candidates (sets distributed.engine).",
)
@click.option(
    "--groups",
    type=click.IntRange(1),
    help="Number of groups of ranks on Ray (sets distributed.groups).",
)
@click.option(
    "--address", metavar="HOST:PORT", help="Address of a Ray cluster, or `auto` to look for one."
)
@click.option(
    "--insecure", is_flag=True, help="Join a Ray cluster even if it has no authentication token."
)
@shared.QUIET
@shared.VERBOSE
def search(
    overrides: tuple[str, ...], engine: str | None, groups: int | None, **options: Any
) -> None:
    """Search for Pareto-optimal networks, or resume a search.

    CONFIG is a YAML file or the name of a built-in configuration. If CONFIG is omitted, the search
    uses ./xnas.yaml if it exists, and the quickstart configuration otherwise. A configuration has
    the following sections: dataset, space, objectives, record, record_at, constraints, training,
    test, search, distributed and callbacks. See docs/reference/configuration.md for all keys.

    The built-in configurations are quickstart, hypermodel, objective, phone, xnas-mnist,
    xnas-cifar10, xnas-imagenet16-120, table-digits, table-mnist5k and table-quality. Each
    configuration whose name starts with xnas- also has a version with the suffix -control, whose
    only objective is error.

    Introspectability may favour accurate or inaccurate networks, depending on how it is computed
    and on the data. On the quickstart's data, it favours accurate networks if it is computed from
    activations, as in the paper, and less accurate networks if it is computed from Grad-CAM and
    integrated gradients, which is the default. See docs/explanation/introspectability.md for
    details.

    \b
    Example:
      xnas-tf search CONFIG --set search.candidates=32 --run-dir runs/long
      xnas-tf search CONFIG --engine ray --groups 4
    """
    from xnas_tf.launcher.search import search as run_search
    from xnas_tf.reporting.candidate_tables import listing

    given = {"engine": engine, "groups": groups}
    more = [f"distributed.{name}={value}" for name, value in given.items() if value is not None]
    run = run_search(overrides=[*overrides, *more], **options)
    if run is None:  # another rank prints
        return
    try:
        listed = listing(run, everyone=False)
        print_pareto(listed)
    except Exception as error:  # noqa: BLE001 - the search is done and recorded
        print_message(f"warning: the results of {run.path} cannot be shown: {describe(error)}")
        return
    folder = shlex.quote(str(run.path))
    commands = [f"xnas-tf pareto {folder} --plot front.png", f"xnas-tf report {folder}"]
    if listed.recommended.id is not None:
        commands.append(f"xnas-tf export {folder}")
    elif (best := listed.recommended.best) is not None:  # open a model anyway
        commands.append(f"xnas-tf explain {folder} --candidate {best}")
    commands.append(f"tensorboard --logdir {shlex.quote(str(run.path / 'tensorboard'))}")
    print_message("\n  ".join(["\nNext:", *commands]))


@main.command(hidden=True, add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def launch(words: tuple[str, ...]) -> None:
    """Explain what replaced this command from version 0.1."""
    options = words[words.index("search") + 1 :] if "search" in words else ("CONFIG",)
    command = shlex.join(["xnas-tf", "search", *options, "--engine", "ray"])
    raise InputError(
        f"launch has been replaced: {command} runs groups of ranks and restarts those that die, on "
        "this machine or, with --address, on a cluster; horovodrun -np RANKS xnas-tf search runs "
        "all ranks in one job (docs/how-to/scaling.md)"
    )
