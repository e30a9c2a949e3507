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
    """Compare search algorithms on tables of known results.

    \b
    Example:
      xnas-tf benchmark search --table nasbench201.csv.gz --seeds 10
    """


@benchmark.command("search")
@click.option(
    "--table",
    type=PATH,
    required=True,
    help="Table of results: the name of a table in this package, a CSV file, which may be gzipped, "
    "or NATS-Bench's own files.",
)
@click.option(
    "--objectives",
    default="error,parameters",
    metavar="NAME,…",
    help="Columns of the table to minimise, or max:COLUMN to maximise.",
)
@click.option(
    "--column", help="Accuracy column from which `error` is computed.  [default: the first]"
)
@click.option(
    "--reference",
    metavar="X,Y,…",
    help="Reference point of the hypervolume: a value for each objective.  [default: 20,1.6 for "
    "error,parameters; otherwise the worst values]",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    default=["nsga2+surrogate", "nsga2", "random"],
    show_default="nsga2+surrogate, nsga2, random",
    metavar="NAME",
    help="Search algorithm; may be repeated.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="search.KEY=VALUE",
    help="Override a key of the section search for xnas-tf's algorithms; may be repeated.",
)
@click.option("--seeds", default=20, help="Number of searches with each algorithm.")
@click.option("--trainings", default=600, help="Number of candidates that each search trains.")
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
    """Count how many candidates simulated searches need to train.

    The searches look up results in a table instead of training networks. The table's header is
    `arch,column…`; the arch column holds NAS-Bench-201 genotypes. NATS-Bench's own files need the
    nats-bench package. The algorithms are those of search.algorithm, each optionally followed by
    "+surrogate", and, for comparison, pymoo (NSGA-II as in XNAS), optuna_nsga2, optuna_tpe and
    random.

    \b
    Example:
      xnas-tf benchmark search --table nasbench201.csv.gz \\
        --algorithm nsga2+surrogate --algorithm pymoo --plot searches.png
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


@benchmark.command("table")
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="RUN…")
@click.option("--out", type=PATH, required=True, help="Gzipped CSV file to write.")
def benchmark_table(sources: tuple[Path, ...], out: Path) -> None:
    """Collect the results of runs in a table for `benchmark search`.

    Each run must be a search of nas_bench_201, usually with `search.algorithm: all`. The table has
    a row for each network and seed. Earlier tables can be given as well, to extend them.

    \b
    Example:
      xnas-tf benchmark table runs/all-0 runs/all-1 --out table.csv.gz
      xnas-tf benchmark search --table table.csv.gz --objectives error,train_error
    """
    from xnas_tf.benchmark import write_table

    print_message(f"wrote {write_table(sources, out)} rows to {out}")


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
