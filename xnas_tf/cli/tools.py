"""Commands that benchmark search algorithms and check the installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from xnas_tf.cli import options as shared
from xnas_tf.cli.group import main, print_message, print_tables
from xnas_tf.doctor import examine


@main.group()
def benchmark() -> None:
    """Compare search algorithms on tables of known results.

    \b
    Example:
      xnas-tf benchmark search --table digits --seeds 10
    """


@benchmark.command("search")
@click.option(
    "--table",
    type=shared.PATH,
    required=True,
    help="Results table: the name of a built-in table (digits), a CSV file (optionally gzipped), "
    "or an original NATS-Bench file.",
)
@click.option(
    "--objectives",
    default="error,parameters",
    metavar="NAME,…",
    help="Table columns to minimise; max:COLUMN maximises a column.",
)
@click.option("--column", help="Accuracy column used to compute `error`.  [default: the first]")
@click.option(
    "--reference",
    metavar="X,Y,…",
    help="Hypervolume reference point, with one value per objective.  [default: 20,1.6 for "
    "error,parameters; otherwise the worst values in the table]",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    default=["nsga2+surrogate", "nsga2", "random"],
    show_default="nsga2+surrogate, nsga2, random",
    metavar="NAME",
    help="Search algorithm (may be repeated).",
)
@shared.set_option(
    "search.KEY=VALUE", "Override a search option for xnas-tf's own algorithms (may be repeated)."
)
@click.option("--seeds", default=20, help="Number of searches per algorithm.")
@click.option("--trainings", default=600, help="Number of candidates to train in each search.")
@shared.FORMAT
@shared.PLOT
@shared.QUIET
def benchmark_search(
    table: Path,
    objectives: str,
    column: str | None,
    reference: str | None,
    form: str,
    plot: Path | None,
    **options: Any,
) -> None:
    """Count how many candidates each algorithm needs to train.

    Searches are simulated: they look up results in a table instead of training networks. A CSV
    table has the header `arch,column…`, where the arch column contains NAS-Bench-201 genotypes.
    Original NATS-Bench files require the nats-bench package, which unpickles them: a file from
    anyone but the authors could run any code. An algorithm is any value of
    search.algorithm, optionally followed by "+surrogate". For comparison, pymoo (NSGA-II as in
    XNAS), optuna_nsga2, optuna_tpe and random are also available.

    \b
    Example:
      xnas-tf benchmark search --table digits --reference 0.1,0.3 \\
        --objectives error,max:introspectability --plot searches.png
    """
    from xnas_tf.benchmark.comparison import compare
    from xnas_tf.benchmark.problem import make_problem, parse_reference
    from xnas_tf.benchmark.report import report_json, report_tables, save_comparison
    from xnas_tf.benchmark.table import read_table

    point = parse_reference(reference) if reference else None
    problem = make_problem(read_table(table), objectives.split(","), column, point)
    comparison = compare(problem, **options)
    if form == "json":
        click.echo(report_json(comparison))
    else:
        print_tables(report_tables(comparison))
    if plot:
        save_comparison(comparison, plot)
        print_message(f"wrote {plot}")


@benchmark.command("table")
@click.argument("sources", nargs=-1, required=True, type=shared.PATH, metavar="RUN…")
@click.option("--out", type=shared.PATH, required=True, help="Gzipped CSV file to write.")
def benchmark_table(sources: tuple[Path, ...], out: Path) -> None:
    """Collect the results of runs in a table for `benchmark search`.

    The runs must be searches of the nas_bench_201 space, usually with `search.algorithm: all`. The
    table has one row per network and seed. To extend an earlier table, list it along with the runs.

    \b
    Example:
      xnas-tf benchmark table runs/all-0 runs/all-1 --out table.csv.gz
      xnas-tf benchmark search --table table.csv.gz --objectives error,train_error
    """
    from xnas_tf.benchmark.table_rows import write_table

    print_message(f"wrote {write_table(sources, out)} rows to {out}")


@main.command()
def doctor() -> None:
    """Check versions, devices and Horovod, and suggest fixes.

    \b
    Example:
      xnas-tf doctor
    """
    for finding in examine():
        click.echo(f"{finding.name:20} {finding.value}")
        if finding.advice:
            click.echo(f"{'':20} -> {finding.advice}")
