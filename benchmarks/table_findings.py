"""What a table of networks tells about measures of introspectability.

    python benchmarks/table_findings.py FILE.csv.gz… [--figure FILE]

Prints Markdown tables: how reliable each measure is over seeds, how measures are related (for all
networks and for those without average pooling), what measures before and early in training tell
about the trained network, which operations raise a measure, and where the Pareto fronts lie.
Intervals are 95% bootstrap intervals over networks. What compares seeds is based on the networks
that were trained with all of them, and the rest on the seeds with which all networks were trained.
Measures that the table does not have are left out. The last line is JSON.
docs/benchmarks/findings.md describes the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.common import print_table  # noqa: E402
from benchmarks.debuggability_statistics import Interval  # noqa: E402
from benchmarks.table_measures import (  # noqa: E402
    EARLY,
    MEASURES,
    SOURCES,
    I,
    by_seed,
    draw,
    means_over_seeds,
    measured,
    of_complete_seeds,
    without_pooling,
)
from benchmarks.table_statistics import (  # noqa: E402
    between_architectures,
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

NEEDED = ("arch", "seed", "error")
FEWEST = 10
"""Minimum number of networks for which a correlation is printed."""
GROUPS = "epoch_1/introspectability/groups"
Figures = dict[str, list[float | None]]


def findings(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print all tables, and return the most important figures by name."""
    complete = of_complete_seeds(rows)
    means = means_over_seeds(complete)
    print(f"{len(means)} networks, {rows.seed.nunique()} seeds, {len(rows)} rows")
    print(f"Seeds with all networks: {complete.seed.nunique()}\n")
    figures = print_reliability(rows, rng)
    print_grad_cam_near_zero(rows, rng)
    print_architectures(rows, rng)
    print_relations(means, rng)
    figures |= print_early(means, rng)
    print_operations(means, rng)
    return figures | print_fronts(means, rows)


def print_reliability(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print the rank correlation of each measure between seeds, and that of a mean over seeds."""
    figures: Figures = {}
    lines = []
    if rows.seed.nunique() < 2:
        return figures
    subset = without_pooling(rows)
    counts = [len(by_seed(each, "error")) for each in (rows, subset)]
    for title, column in measured(rows).items():
        if column == "parameters":
            continue
        found, of_mean = reliability(by_seed(rows, column), rng)
        figures[f"reliability/{column}"] = found.rounded()
        others = "–"
        if counts[1] >= FEWEST:
            others = str(reliability(by_seed(subset, column), rng)[0])
        lines.append([title, str(found), f"{of_mean:.2f}", others])
    print(f"**Agreement of seeds** (Spearman; {counts[0]} networks, {counts[1]} without pooling)\n")
    heads = ["between two seeds", "mean of all seeds", "without average pooling"]
    print_table(["measure", *heads], lines)
    return figures


def print_grad_cam_near_zero(rows: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print what Grad-CAM's introspectability is where maps are constant or it is not above 0.

    On images of 8×8 pixels, a network whose output is a sum of poolings has constant maps, so
    classes do not differ and the true value is 0.
    """
    column = MEASURES["Grad-CAM"]
    errors = f"{column}/standard_error"
    if errors not in rows:
        return
    last_edges = rows.arch.str.rsplit("+", n=1).str[-1]
    pooled = rows[~last_edges.str.contains("skip_connect|nor_conv")]
    print("**Grad-CAM near 0**\n")
    if len(pooled):
        print(
            f"Only average pooling before the output: {pooled.arch.nunique()} networks, of whose "
            f"trainings {100 * (pooled[column] < 0).mean():.0f}% are below 0 "
            f"(median {pooled[column].median():.4f})"
        )
    positive = rows[rows[column] > 2 * rows[errors]].arch
    values = by_seed(rows[~rows.arch.isin(positive)], column)
    if len(values) >= FEWEST and values.shape[1] > 1:
        found, _ = reliability(values, rng)
        print(f"Never above 0: {len(values)} networks; agreement of seeds: {found}")
    print()


def print_architectures(rows: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print correlations of measures between seeds, corrected for the noise of trainings."""
    if rows.seed.nunique() < 2:
        return
    for title, subset in (("all networks", rows), ("without pooling", without_pooling(rows))):
        columns = measured(subset, ("error", "test error", *SOURCES))
        values = {name: by_seed(subset, column) for name, column in columns.items()}
        if len(values["error"]) < FEWEST:
            continue
        print(f"**Between architectures, {title}** (Spearman between seeds, corrected)\n")
        sources = [name for name in values if name in SOURCES]
        lines = []
        for one in values:
            others = sources[sources.index(one) + 1 :] if one in sources else sources
            if not others:
                continue
            found = [str(between_architectures(values[one], values[each], rng)) for each in others]
            lines.append([one, *[""] * (len(sources) - len(found)), *found])
        print_table(["measure", *sources], lines)


def print_relations(means: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print rank correlations of the sources with other measures, also given the error."""
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
    subset = without_pooling(means.reset_index())
    if len(subset) >= FEWEST:
        found = [str(correlation(subset.error, subset[own], rng)) for own in sources.values()]
        lines.append([f"error, {len(subset)} networks without average pooling", *found])
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
    subset = without_pooling(means.reset_index())
    for source, column in measured(means, (*EARLY, "error")).items():
        # See docs/benchmarks/table.md.
        finals = {"epoch_0": column.replace(I, f"{I}/true_class", 1), "epoch_1": column}
        cells = []
        for epoch, final in finals.items():
            early = f"{epoch}/{column}"
            is_known = early in means and final in means
            found = correlation(means[early], means[final], rng) if is_known else None
            cells.append(str(found or "–"))
            if epoch == "epoch_0":
                is_known = is_known and len(subset) >= FEWEST
                cells.append(
                    str(correlation(subset[early], subset[final], rng)) if is_known else "–"
                )
            if found and source in EARLY:
                figures[f"{epoch}/{source}"] = found.rounded()
        lines.append([source, *cells, all_classes(means, column, rng)])
    heads = ["before training", "before training, without average pooling"]
    heads += ["after 1 epoch", "after 1 epoch, all classes predicted"]
    print_table(["measure", *heads], lines)
    return figures


def all_classes(means: pd.DataFrame, column: str, rng: np.random.Generator) -> str:
    """Return the correlation after one epoch for networks that predict all classes by then.

    Classes that a network never predicts count as zero in its introspectability.
    """
    early = f"epoch_1/{column}"
    if GROUPS not in means or early not in means:
        return "–"
    subset = means[means[GROUPS] == means[GROUPS].max()]
    return f"{correlation(subset[early], subset[column], rng)} ({len(subset)} networks)"


def print_operations(means: pd.DataFrame, rng: np.random.Generator) -> None:
    """Print how each operation on each edge changes the rank of a measure at equal error."""
    by_network = equivalent_cells()
    cells = [by_network[network_of(parse_genotype(genotype))] for genotype in means.index]
    for source, column in measured(means, SOURCES).items():
        effects, errors = operation_effects(cells, means[column], means.error, rng)
        print(f"**{source}: change of the percentile rank by an operation, given the error**")
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


def print_fronts(means: pd.DataFrame, rows: pd.DataFrame) -> Figures:
    """Print the Pareto fronts of error and each source, and how much they have in common.

    For comparison, the fronts of the same source with two seeds are compared, among the networks
    that were trained with all seeds, and it is printed where a front lies with another seed.
    """
    sources, complete = measured(means, SOURCES), of_complete_seeds(rows)
    found = {source: fronts(means.error, means[column]) for source, column in sources.items()}
    lines = []
    for source, chosen in found.items():
        own, name = means[chosen], sources[source]
        ends = f"{own.error.min():.3f} to {own.error.max():.3f}"
        span = f"{own[name].min():.3f} to {own[name].max():.3f}"
        shared = [
            "" if other == source else str(int((chosen & each).sum()))
            for other, each in found.items()
        ]
        seeds = [shared_by_seeds(rows, name), with_another_seed(rows, name)]
        lines.append(
            [source, str(int(chosen.sum())), ends, span, positive(complete, name), *shared, *seeds]
        )
    print("**Pareto fronts of error and introspectability**\n")
    heads = [f"shared with {source}" for source in sources]
    heads += ["same source, shared by two seeds", "percentiles with another seed"]
    print_table(["source", "networks", "error", I, "trainings above 0", *heads], lines)
    return {f"front/{source}": [int(chosen.sum())] for source, chosen in found.items()}


def positive(rows: pd.DataFrame, column: str) -> str:
    """Return the share of trainings whose measure is above 0 by two standard errors."""
    errors = f"{column}/standard_error"
    if errors not in rows:
        return "–"
    return f"{100 * (rows[column] > 2 * rows[errors]).mean():.0f}%"


def shared_by_seeds(rows: pd.DataFrame, column: str) -> str:
    """Return how many networks the fronts with two seeds share on average, and their mean size."""
    error, value = by_seed(rows, "error"), by_seed(rows, column)
    if error.shape[1] < 2:
        return "–"
    each = [fronts(error[seed], value[seed]) for seed in error]
    shared = np.mean([(one & other).sum() for one, other in combinations(each, 2)])
    return f"{shared:.1f} of {np.mean([front.sum() for front in each]):.1f}"


def with_another_seed(rows: pd.DataFrame, column: str) -> str:
    """Return where the front with one seed lies with another seed.

    These are the mean percentiles of the error and the measure; by chance, both would be 50.
    """
    error, value = by_seed(rows, "error"), by_seed(rows, column)
    if error.shape[1] < 2:
        return "–"
    found = []
    for one, other in permutations(error, 2):
        front = fronts(error[one], value[one])
        found.append([100 * each[other].rank(pct=True)[front].mean() for each in (error, value)])
    wrong, measure = np.mean(found, axis=0)
    return f"{wrong:.0f} (error), {measure:.0f}"


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
        means = means_over_seeds(of_complete_seeds(rows))
        draw(means, measured(means, SOURCES)).savefig(options.figure)
    names = [table.name for table in options.tables]
    print(json.dumps({"tables": names, "rows": len(rows), **figures}))


if __name__ == "__main__":
    main()
