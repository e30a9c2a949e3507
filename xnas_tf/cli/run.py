"""Commands for runs: show them, report on them, and retrain or export their candidates."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnas_tf.cli import completion
from xnas_tf.cli import options as shared
from xnas_tf.cli.group import main, print_message, print_result, print_tables

if TYPE_CHECKING:
    from xnas_tf.reporting.candidate_tables import CandidateList

PARETO = click.option("--pareto", is_flag=True, help="Use all Pareto-optimal candidates.")


@main.command()
@shared.RUN
@shared.format_option("table", "json", "csv")
@click.option(
    "--all",
    "everyone",
    is_flag=True,
    help="List all trained candidates; with --format csv, also list those in other states.",
)
@shared.PLOT
@shared.PREFER
@shared.WITHIN
def pareto(run: Path, form: str, everyone: bool, plot: Path | None, **options: Any) -> None:
    """List the Pareto-optimal candidates of RUN and recommend one.

    The command considers candidates that are better than chance and close to the lowest error, and
    recommends the one that is best in the other objectives. Other commands use the recommended
    candidate by default. See docs/explanation/search.md for the exact rule.

    \b
    Example:
      xnas-tf pareto runs/quickstart --format csv > front.csv
      xnas-tf pareto runs/quickstart --prefer introspectability --within 5
    """
    from xnas_tf.reporting import candidate_tables as tables
    from xnas_tf.storage.run import load_run

    listed = tables.listing(load_run(run), everyone, **options)
    if form == "table":
        print_pareto(listed)
        if listed.candidates and (collapsed := listed.run.collapse_text()):
            print_message(f"warning: {collapsed}")
    elif form == "json":
        click.echo(tables.pareto_json(listed))
    else:
        click.echo(tables.pareto_csv(listed, any_state=everyone), nl=False)
    if plot:
        from xnas_tf.utils.pictures import save_png

        save_png(listed.run.plot_front(**options), plot, "--plot", dpi=150)
        print_message(f"wrote {plot}")


@main.command()
@shared.RUN
@shared.format_option("text", "json")
@shared.PLOT
def status(run: Path, form: str, plot: Path | None) -> None:
    """Show the progress of RUN: candidates, rate and time left.

    The plot shows when each group of ranks was busy.

    \b
    Example:
      xnas-tf status runs/quickstart --plot groups.png
    """
    from xnas_tf.reporting.status import run_status, status_text
    from xnas_tf.storage.run import load_run

    opened = load_run(run)
    found = run_status(opened)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(status_text(found, width) if form == "text" else json.dumps(found, indent=2))
    if plot:
        from xnas_tf.reporting.utilisation import save_timeline

        save_timeline(opened, plot)
        print_message(f"wrote {plot}")


@main.command()
@click.argument(
    "runs",
    metavar="RUN_OR_MODEL...",
    nargs=-1,
    required=True,
    type=shared.PATH,
    shell_complete=completion.runs,
)
@click.option(
    "--out",
    type=shared.FILE,
    help="File to write.  [default: RUN/report.html, comparison.html or NAME-report.html]",
)
@shared.candidates_option(
    "Candidate to show (may be repeated).  [default: the candidates on the front]"
)
@shared.PREFER
@shared.WITHIN
@click.option(
    "--models",
    type=click.IntRange(0),
    default=8,
    help="Maximum number of Pareto-optimal models to show; 0 shows none.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=8,
    help="Number of images to explain for each model.",
)
@shared.dataset_option("Data set for evaluating a model.")
@shared.INPUT_RANGE
@shared.UNSAFE
def report(runs: tuple[Path, ...], **options: Any) -> None:
    """Write a report on one or more runs, or on a model.

    The report is a single HTML file that needs no network connection. The report on a run shows the
    recommended model, the front, the progress of the search, and explanations of each model; the
    search may still be in progress. A report on several runs compares the runs, which must use the
    same data. The report on a .keras file shows accuracy, mistakes, calibration and explanations.
    See docs/how-to/report.md for how to read a report.

    \b
    Example:
      xnas-tf report runs/quickstart --candidate 7 --candidate 9 --images 16
      xnas-tf report runs/nsga2 runs/random --out comparison.html
      xnas-tf report model.keras --dataset mnist5k
    """
    from xnas_tf.reporting.html.page import save_report

    path = save_report(runs, log=print_message, **options)
    print_message("wrote the report; open this file in a browser:")
    click.echo(path)


@main.command()
@shared.RUN
@shared.CANDIDATES
@PARETO
@click.option(
    "--epochs",
    type=int,
    help="Maximum number of epochs.  [default: 10 times as many as in the search]",
)
@click.option(
    "--seeds",
    default=3,
    help="Number of times to train each model, with a different seed each time.",
)
@click.option(
    "--patience",
    type=int,
    help="Stop training after this many epochs without improvement.  "
    "[default: a third of --epochs, but at least 5]",
)
@shared.set_option(
    "KEY=VALUE",
    "Override a configuration key in the space, training, objectives, record or distributed "
    "section (may be repeated).",
)
@click.option("--no-baseline", is_flag=True, help="Do not train a residual network for comparison.")
@click.option(
    "--gallery", is_flag=True, help="Draw attribution maps for TensorBoard during training."
)
@shared.FORMAT
@shared.QUIET
@shared.VERBOSE
def retrain(
    run: Path, candidates: tuple[int | str, ...], no_baseline: bool, form: str, **options: Any
) -> None:
    """Fully train candidates from RUN with several seeds.

    A residual network of the same size is also trained for comparison. All ranks work together on
    one model at a time. The weights from the epoch with the best validation accuracy are kept and
    evaluated once on the test split. If the command is interrupted, run it again to resume from the
    last checkpoint. See docs/how-to/retraining.md for an explanation of the table.

    \b
    Example:
      xnas-tf retrain runs/quickstart
      xnas-tf retrain runs/quickstart --pareto
      horovodrun -np 8 xnas-tf retrain runs/quickstart --candidate 7 \\
        --epochs 200 --set space.channels=32 --set space.cells_per_stack=5
    """
    from xnas_tf.reporting.candidate_tables import retraining_table
    from xnas_tf.retraining import retrain as train

    retraining = train(run, candidates, baseline=not no_baseline, log=print_message, **options)
    if retraining is None:  # another rank prints
        return
    print_result(form, retraining.as_dict(), lambda: [retraining_table(retraining)])
    for training in retraining.failures():
        print_message(f"warning: {training.title}, seed {training.seed} failed: {training.reason}")
    print_message(f"models: {retraining.path / 'models'}")


@main.command()
@shared.RUN
@shared.CANDIDATES
@PARETO
@click.option("--out", type=shared.PATH, help="Folder to write to.  [default: RUN/exports]")
@click.option(
    "--format",
    "formats",
    multiple=True,
    help="Export format (may be repeated): saved_model, keras, tflite, tflite_float16, tflite_int8 "
    "or onnx.  [default: saved_model, keras]",
)
@click.option(
    "--retrained",
    default="",
    show_default=False,
    metavar="latest|FOLDER",
    help="Export the retrained models in RUN/retrained/FOLDER, or the latest ones.",
)
@click.option(
    "--licence", default="", show_default=False, help="Licence to state in the model cards."
)
@shared.UNSAFE
@shared.QUIET
def export(run: Path, formats: tuple[str, ...], **options: Any) -> None:
    """Export models from RUN, each with a model card.

    By default, only the recommended candidate is exported. With --retrained, all retrained models
    are exported. A SavedModel works without xnas-tf: it takes raw images and explains its own
    predictions. Each exported file is tested, and is rejected if its predictions differ from those
    of the model. A tflite_int8 model is calibrated on training images; its
    accuracy is measured, and any drop is reported.

    \b
    Example:
      xnas-tf export runs/quickstart --candidate 7 --out served
      xnas-tf export runs/quickstart --format tflite --format tflite_int8
      xnas-tf export runs/quickstart --pareto --format saved_model --format tflite
      xnas-tf export runs/quickstart --retrained latest
    """
    from xnas_tf.exporting.formats import DEFAULT_FORMATS
    from xnas_tf.exporting.selection import chosen_models, export_folders
    from xnas_tf.storage.run import load_run

    opened = load_run(run)
    candidates, retrained, pareto = (options[k] for k in ("candidates", "retrained", "pareto"))
    export_folders(opened, chosen_models(opened, candidates, retrained, pareto), options["out"])
    from xnas_tf.exporting.card_files import files_table
    from xnas_tf.exporting.command import export as export_models

    formats = formats or DEFAULT_FORMATS
    folders = export_models(opened, formats=formats, log=print_message, **options)
    cards = [json.loads((folder / "card.json").read_text(encoding="utf-8")) for folder in folders]
    print_tables([files_table(cards)], err=True)
    for folder in folders:
        click.echo(str(folder))


def print_pareto(listed: CandidateList) -> None:
    """Print candidates of a run, and name the recommended one."""
    from xnas_tf.reporting import candidate_tables as tables

    run = listed.run
    if not listed.candidates:
        hint = "; --all lists those that violate them" if run.config.constraints else ""
        click.echo(f"{run.path}: {listed.recommended.why}{hint}", err=True)
        return
    print_tables([tables.pareto_table(listed)])
    print_message(f"recommended: {listed.recommended.text}")
