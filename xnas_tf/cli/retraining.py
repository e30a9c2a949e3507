"""The command that trains candidates in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from xnas_tf.cli.candidates import CANDIDATES
from xnas_tf.cli.group import FORMAT, RUN, clear_errors, main, print_message, print_tables


@main.command()
@RUN
@CANDIDATES
@click.option("--pareto", is_flag=True, help="All Pareto-optimal candidates.")
@click.option("--epochs", type=int, help="At most; default: 10 times the search's.")
@click.option("--seeds", type=int, default=3, show_default=True, help="Trainings of each model.")
@click.option(
    "--patience",
    type=int,
    help="Epochs without improvement after which a training ends; default: a third of all.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of space, training, objectives, record or distributed.",
)
@click.option("--no-baseline", is_flag=True, help="Do not train a residual network for comparison.")
@click.option("--gallery", is_flag=True, help="Draw attributions during training (TensorBoard).")
@FORMAT
@clear_errors
def retrain(
    run: Path, candidates: tuple[int | str, ...], no_baseline: bool, form: str, **options: Any
) -> None:
    """Train candidates of RUN in full, with several seeds.

    A residual network is trained too, for comparison. All ranks train one model at a time. The
    best epoch by validation accuracy is kept and evaluated once on the test split. If interrupted,
    run the same command again: it resumes, and trains nothing twice. docs/retraining.md explains
    the table.

    \b
    Example:
      xnas-tf retrain runs/quickstart
      xnas-tf retrain runs/quickstart --pareto
      horovodrun -np 8 xnas-tf retrain runs/quickstart --candidate 7 --epochs 200 \\
        --set space.channels=32 --set space.cells_per_stack=5
    """
    from xnas_tf.retraining import retrain as retrain_candidates

    options["baseline"] = not no_baseline
    options["tell"] = print_message
    retraining = retrain_candidates(run, candidates, **options)
    if retraining is None:  # another rank prints
        return
    if form == "json":
        click.echo(json.dumps(retraining.as_dict(), indent=2))
    else:
        from xnas_tf.reporting.retraining_tables import retraining_table

        print_tables([retraining_table(retraining)])
    for training in retraining.failures():
        click.echo(f"{training.title}, seed {training.seed} failed: {training.reason}", err=True)
    click.echo(f"models: {retraining.path / 'models'}", err=True)
