"""Commands that benchmark search algorithms and check the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xnas_tf.cli.group import main, print_message, print_tables
from xnas_tf.cli.options import FORMAT, PATH, PLOT, QUIET
from xnas_tf.doctor import examine


@main.group()
def benchmark() -> None:
    """Measure the cost of searches."""


@benchmark.command("search")
@click.option("--table", type=PATH, required=True, help="CSV, CSV.gz, NATS.")
@click.option(
    "--objectives",
    default="error,parameters",
    metavar="NAME,…",
    help="Or any column, minimised; max:COLUMN maximises.",
)
@click.option("--column", help="Accuracy column that `error` is computed from. Default: the first.")
@click.option(
    "--reference",
    metavar="X,Y,…",
    help="Reference point of the hypervolume, one value per objective.",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    default=["nsga2+surrogate", "nsga2", "random"],
    show_default="nsga2+surrogate, nsga2 and random",
    metavar="NAME",
    help="May be repeated.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="search.KEY=VALUE",
    help="Options of our own algorithms.",
)
@click.option("--seeds", default=20, help="Searches per algorithm.")
@click.option("--trainings", default=600, help="Trainings per search.")
@FORMAT
@PLOT
@QUIET
def benchmark_search(
    table: Path,
    objectives: str,
    column: str | None,
    reference: str | None,
    form: str,
    plot: Path | None,
    **options: Any,
) -> None:
    """Simulate searches on a TABLE of known results: how many trainings do they need?

    TABLE has the header `arch,column…`; arch is a genotype of NAS-Bench-201. NATS-Bench's own
    files can be read if the package nats-bench is installed. Algorithms are those of
    search.algorithm, each also with "+surrogate" after its name, and for comparison pymoo
    (NSGA-II as in XNAS), optuna_nsga2, optuna_tpe and random.

    The reference is 20,1.6 for error,parameters, else the worst value of each objective.

    \b
    Example:
      xnas-tf benchmark search --table nasbench201.csv.gz --algorithm nsga2+surrogate \\
        --algorithm pymoo --seeds 10 --plot searches.png
    """
    from xnas_tf.benchmark import compare, make_problem, parse_reference, read_table
    from xnas_tf.benchmark.report import report_json, report_tables

    point = parse_reference(reference) if reference else None
    problem = make_problem(read_table(table), objectives.split(","), column, point)
    comparison = compare(problem, **options)
    if form == "json":
        click.echo(report_json(comparison))
    else:
        print_tables(report_tables(comparison))
    if plot:
        from xnas_tf.benchmark.figure import save_comparison

        save_comparison(comparison, plot)
        print_message(f"wrote {plot}")


@main.command()
def doctor() -> None:
    """Check versions, devices and Horovod, and advise on problems.

    \b
    Example:
      xnas-tf doctor
    """
    for finding in examine():
        click.echo(f"{finding.name:20} {finding.value}")
        if finding.advice:
            click.echo(f"{'':20} -> {finding.advice}")
