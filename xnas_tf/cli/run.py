"""Commands that show, report on and export the results of a search."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xnas_tf.cli.candidates import CANDIDATES, PREFER, WITHIN, CandidateType
from xnas_tf.cli.group import RUN, clear_errors, main, print_message, print_tables

if TYPE_CHECKING:
    from xnas_tf.reporting.candidate_tables import CandidateList


@main.command()
@RUN
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
)
@click.option("--all", "everyone", is_flag=True, help="List dominated candidates too.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@PREFER
@WITHIN
@clear_errors
def pareto(
    run: Path,
    form: str,
    everyone: bool,
    plot: Path | None,
    prefer: str | None,
    within: float | None,
) -> None:
    """List the Pareto-optimal candidates of RUN, recommending one.

    Of those better than chance whose error is near the best, the recommended one is the best in
    the other objectives. docs/search.md has the rule; other commands use this one by default.

    \b
    Example:
      xnas-tf pareto runs/quickstart --format csv > front.csv
      xnas-tf pareto runs/quickstart --prefer introspectability --within 5
    """
    from xnas_tf.reporting import candidate_tables as tables
    from xnas_tf.storage.run import load_run

    opened = load_run(run)
    listed = tables.listing(opened, everyone, prefer, within)
    if form == "table":
        print_pareto(listed)
    else:
        write = tables.pareto_json if form == "json" else tables.pareto_csv
        click.echo(write(listed).rstrip("\n"))
    if plot:
        from xnas_tf.reporting.front_figure import save_front

        save_front(opened, plot, listed.recommended.id)
        click.echo(f"wrote {plot}", err=True)


@main.command()
@RUN
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw a PNG.")
@clear_errors
def status(run: Path, form: str, plot: Path | None) -> None:
    """Show the progress of RUN: candidates, rate, time left.

    The picture shows the timeline of each group of ranks.

    \b
    Example:
      xnas-tf status runs/quickstart --plot groups.png
    """
    from xnas_tf.reporting.status import run_status, status_text
    from xnas_tf.storage.run import load_run

    opened = load_run(run)
    found = run_status(opened)
    click.echo(status_text(found) if form == "text" else json.dumps(found.as_dict(), indent=2))
    if plot:
        from xnas_tf.reporting.utilisation import save_timeline

        save_timeline(opened, plot)
        click.echo(f"wrote {plot}", err=True)


@main.command()
@RUN
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: RUN/report.html."
)
@click.option(
    "--candidate",
    "candidates",
    multiple=True,
    type=CandidateType(),
    help="A model to show; may be repeated.  [default: those of the front]",
)
@PREFER
@WITHIN
@click.option(
    "--models",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    help="Maximum number of Pareto-optimal models to show; 0 opens none.",
)
@click.option(
    "--images",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of images to explain for each model.",
)
@clear_errors
def report(run: Path, **options: Any) -> None:
    """Write a report on RUN as one HTML file that needs no network.

    It shows the front, its progress and lineage, what each objective depends on, and failures;
    for each Pareto-optimal model curves, test metrics, attributions and class distances. The
    search may still be running. docs/report.md explains how to read it.

    \b
    Example:
      xnas-tf report runs/quickstart --out front.html
      xnas-tf report runs/quickstart --candidate 7 --candidate 9 --images 16
    """
    from xnas_tf.reporting.html import save_report

    click.echo(save_report(run, tell=print_message, **options))


@main.command()
@RUN
@CANDIDATES
@click.option("--pareto", is_flag=True, help="All Pareto-optimal candidates.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: RUN/exports.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    help="saved_model, keras, tflite, tflite_float16 or onnx; may be repeated.  "
    "[default: saved_model, keras]",
)
@click.option(
    "--retrained", default="", metavar="latest|FOLDER", help="Export models of RUN/retrained."
)
@click.option("--licence", default="", help="Licence of the models, for their cards.")
@clear_errors
def export(run: Path, formats: tuple[str, ...], **options: Any) -> None:
    """Export models of RUN, each with a model card.

    By default, the recommended one is exported; with --retrained, all retrained models. A
    SavedModel takes raw images and explains its predictions, without xnas-tf. Each file is run
    after it was written, and refused if its predictions differ from the model's.

    \b
    Example:
      xnas-tf export runs/quickstart --candidate 7 --out served
      xnas-tf export runs/quickstart --pareto --format saved_model --format tflite
      xnas-tf export runs/quickstart --retrained latest
    """
    from xnas_tf.exporting.command import export as export_models
    from xnas_tf.exporting.formats import DEFAULT_FORMATS
    from xnas_tf.storage.run import load_run

    options["formats"] = formats or DEFAULT_FORMATS
    for folder in export_models(load_run(run), tell=print_message, **options):
        click.echo(str(folder))


def print_pareto(listed: CandidateList) -> None:
    """Print candidates of a run, and which one is recommended."""
    from xnas_tf.reporting import candidate_tables as tables
    from xnas_tf.reporting.collapses import collapse_text

    if not listed.candidates:
        click.echo(f"{listed.run.path} has no finished candidates yet", err=True)
        return
    print_tables([tables.pareto_table(listed)])
    run = listed.run
    if collapsed := collapse_text(run.candidates(), run.config):
        click.secho(collapsed, fg="yellow", err=True)
    click.echo(f"recommended: {listed.recommended.text}", err=True)
