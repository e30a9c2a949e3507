"""What a table of networks tells about measures of introspectability.

    python benchmarks/table_findings.py FILE.csv.gz… [--figure FILE]

Prints Markdown tables: how reliable each measure is over seeds, how measures are related at equal
error, what measures before and early in training tell about the trained network, which operations
raise a measure, and where the Pareto fronts lie. Intervals are 95% bootstrap intervals over
networks. Apart from the agreement of seeds, only seeds with which all networks were trained count.
Measures that the table does not have are left out. The last line is JSON.
docs/benchmarks/findings.md describes the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.debuggability_report import print_table  # noqa: E402
from benchmarks.debuggability_statistics import Interval  # noqa: E402
from benchmarks.table_statistics import (  # noqa: E402
    correlation,
    fronts,
    operation_effects,
    partial_correlation,
    reliability,
)
from xnas_tf.spaces.cells import (  # noqa: E402
    EDGES,
    OPERATIONS,
    all_operations,
    network_of,
    parse_genotype,
    plain,
)

I = "introspectability"  # noqa: E741
MEASURES = {
    "error": "error",
    "test error": "test_error",
    "calibration error": "calibration_error",
    "activations": f"{I}/activations",
    "activations, plain": f"{I}/plain",
    "activations, equal layers": f"{I}/layer_normalised",
    "activations, true class": f"{I}/true_class/activations",
    "Grad-CAM": f"{I}/grad_cam",
    "integrated gradients": f"{I}/integrated_gradients",
    "SmoothGrad": f"{I}/smooth_grad",
    "parameters": "parameters",
}
SOURCES = ("activations", "Grad-CAM", "integrated gradients", "SmoothGrad")
EARLY = ("activations", "Grad-CAM", "integrated gradients")
NEEDED = ("arch", "seed", "error")
Figures = dict[str, list[float | None]]


def findings(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print all tables, and return the most important figures by name."""
    complete = of_complete_seeds(rows)
    means = complete.groupby("arch").mean(numeric_only=True)
    print(f"{len(means)} networks, {rows.seed.nunique()} seeds, {len(rows)} rows")
    print(f"Seeds with all networks: {complete.seed.nunique()}\n")
    figures = print_reliability(rows, rng)
    print_relations(means, rng)
    figures |= print_early(means, rng)
    print_operations(means, rng)
    return figures | print_fronts(means)


def of_complete_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the seeds with which all networks were trained; all rows if none was.

    Means over different numbers of seeds are not equally noisy, so they would not be comparable.
    """
    counts = rows.groupby("seed").arch.nunique()
    complete = counts.index[counts == rows.arch.nunique()]
    return rows[rows.seed.isin(complete)] if len(complete) else rows


def measured(means: pd.DataFrame, titles: Iterable[str] = MEASURES) -> dict[str, str]:
    """Return the columns of measures by title, without those that the table does not have."""
    return {title: MEASURES[title] for title in titles if MEASURES[title] in means}


def print_reliability(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print the rank correlation of each measure between seeds, and that of a mean over seeds."""
    figures: Figures = {}
    lines = []
    for title, column in measured(rows).items():
        if rows.seed.nunique() < 2 or column == "parameters":
            continue
        found, of_mean = reliability(rows.pivot(index="arch", columns="seed", values=column), rng)
        lines.append([title, str(found), f"{of_mean:.2f}"])
        figures[f"reliability/{column}"] = found.rounded()
    if lines:
        print("**Agreement of seeds** (Spearman)\n")
        print_table(["measure", "between two seeds", "mean of all seeds"], lines)
    return figures


def print_relations(means: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print rank correlations of the sources with other measures, without and at equal error."""
    print("**Rank correlations** (Spearman; in brackets: partial, given the error)\n")
    lines = []
    sources = measured(means, SOURCES)
    for title, column in measured(means).items():
        cells = []
        for source, own in sources.items():
            one, other = means[own], means[column]
            plain = correlation(one, other, rng)
            given = "" if column == "error" else partial_correlation(one, other, means.error, rng)
            cells.append("" if title == source else f"{plain.value:.2f} ({bracketed(given)})")
        lines.append([title, *cells])
    print_table(["measure", *sources], lines)


def bracketed(given: Interval | str) -> str:
    """Return a partial correlation with its interval."""
    return str(given) if given else "–"


def print_early(means: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print how measures before and after the first epoch predict those at the end."""
    print("**Early measures** (Spearman with the same measure at the end; the measure before")
    print("training, whose groups are the true classes, with the final one by true class)\n")
    figures: Figures = {}
    lines = []
    for source, column in measured(means, (*EARLY, "error")).items():
        # See docs/benchmarks/table.md.
        finals = {"epoch_0": column.replace(I, f"{I}/true_class", 1), "epoch_1": column}
        cells = []
        for epoch, final in finals.items():
            early = f"{epoch}/{column}"
            is_known = early in means and final in means
            found = correlation(means[early], means[final], rng) if is_known else None
            cells.append(str(found or "–"))
            if found and source in EARLY:
                figures[f"{epoch}/{source}"] = found.rounded()
        lines.append([source, *cells])
    print_table(["measure", "before training", "after 1 epoch"], lines)
    return figures


def print_operations(means: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print how each operation on each edge changes the rank of a measure at equal error."""
    by_network = equivalent_cells()
    cells = [by_network[network_of(parse_genotype(genotype))] for genotype in means.index]
    for source, column in measured(means, SOURCES).items():
        effects, errors = operation_effects(cells, means[column], means.error, rng)
        print(f"**{source}: change of the percentile rank by an operation, at equal error**")
        print("(± two standard errors)\n")
        lines = [
            [edge, *(f"{value:+.0f} ± {2 * error:.0f}" for value, error in zip(*row, strict=True))]
            for edge, *row in zip(EDGES, effects, errors, strict=True)
        ]
        print_table(["edge", *OPERATIONS], lines)


def equivalent_cells() -> dict[str, np.ndarray]:
    """Return the operations' numbers of all cells of each network, (cells, edges).

    Edges that cannot influence the output have the operation ``none``.
    """
    found: dict[str, set[tuple[int, ...]]] = defaultdict(set)
    for operations in all_operations():
        cell = plain(dict(zip(EDGES, operations, strict=True)))
        found[network_of(cell)].add(tuple(OPERATIONS.index(cell[edge]) for edge in EDGES))
    return {network: np.array(sorted(cells)) for network, cells in found.items()}


def print_fronts(means: pd.DataFrame) -> Figures:
    """Print the Pareto fronts of error and each source, and how much they have in common.

    A network with the lowest error is not counted as shared, because it is on every front by
    construction.
    """
    sources = measured(means, SOURCES)
    found = {source: fronts(means.error, means[column]) for source, column in sources.items()}
    is_other = (means.error > means.error.min()).to_numpy()
    lines = []
    for source, rows in found.items():
        own, name = means[rows], sources[source]
        ends = f"{own.error.min():.3f} to {own.error.max():.3f}"
        span = f"{own[name].min():.3f} to {own[name].max():.3f}"
        shared = [
            "" if other == source else str(int((rows & each & is_other).sum()))
            for other, each in found.items()
        ]
        lines.append([source, str(int(rows.sum())), ends, span, *shared])
    print("**Pareto fronts of error and introspectability** (shared: without the network with the")
    print("lowest error, which is on all of them)\n")
    heads = [f"shared with {source}" for source in sources]
    print_table(["source", "networks", "error", I, *heads], lines)
    return {f"front/{source}": [int(rows.sum())] for source, rows in found.items()}


def read(table: Path, parser: argparse.ArgumentParser) -> pd.DataFrame:
    """Read a table; exit with an error if it cannot be read or lacks a column."""
    try:
        rows = pd.read_csv(table)
    except (OSError, EOFError, ValueError) as error:
        parser.error(f"{table} is not a table: {error}")
    if missing := [name for name in NEEDED if name not in rows]:
        parser.error(f"{table}: there is no column {', '.join(missing)}")
    return rows


def main() -> None:
    """Print everything, and draw the fronts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "tables", nargs="+", type=Path, help="files written by xnas-tf benchmark table"
    )
    parser.add_argument("--figure", type=Path, help="file to draw the fronts into")
    options = parser.parse_args()
    rows = pd.concat([read(table, parser) for table in options.tables], ignore_index=True)
    figures = findings(rows, np.random.default_rng(0))
    if options.figure:
        from benchmarks.table_figure import draw

        means = of_complete_seeds(rows).groupby("arch").mean(numeric_only=True)
        draw(means, measured(means, SOURCES)).savefig(options.figure)
    names = [table.name for table in options.tables]
    print(json.dumps({"tables": names, "rows": len(rows), **figures}))


if __name__ == "__main__":
    main()
