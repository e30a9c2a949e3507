"""What a table of networks tells about measures of introspectability.

    python benchmarks/table_findings.py FILE.csv.gz [--figure FILE]

Prints Markdown tables: how reliable each measure is over seeds, how measures are related at equal
error, what measures before and early in training tell about the trained network, which operations
raise a measure, and where the Pareto fronts lie. Intervals are 95% bootstrap intervals over
networks. The last line is JSON. docs/benchmarks/findings.md describes the results.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))  # contains only the script's folder

from benchmarks.debuggability_report import print_table  # noqa: E402
from benchmarks.table_statistics import (  # noqa: E402
    Correlation,
    correlation,
    fronts,
    operation_effects,
    partial_correlation,
    reliability,
)
from xnas_tf.spaces.cells import EDGES, OPERATIONS, parse_genotype  # noqa: E402

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
Figures = dict[str, list[float]]


def findings(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print all tables, and return the most important figures by name."""
    means = rows.groupby("arch").mean(numeric_only=True)
    print(f"{len(means)} networks, {rows.seed.nunique()} seeds, {len(rows)} rows\n")
    figures = print_reliability(rows, rng)
    print_relations(means, rng)
    figures |= print_early(means, rng)
    print_operations(means)
    return figures | print_fronts(means)


def print_reliability(rows: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print the rank correlation of each measure between seeds, and that of a mean over seeds."""
    figures: Figures = {}
    lines = []
    for title, column in MEASURES.items():
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
    for title, column in MEASURES.items():
        cells = []
        for source in SOURCES:
            one, other = means[MEASURES[source]], means[column]
            plain = correlation(one, other, rng)
            given = "" if column == "error" else partial_correlation(one, other, means.error, rng)
            cells.append("" if title == source else f"{plain.value:.2f} ({bracketed(given)})")
        lines.append([title, *cells])
    print_table(["measure", *SOURCES], lines)


def bracketed(given: Correlation | str) -> str:
    """Return a partial correlation with its interval."""
    return str(given) if given else "–"


def print_early(means: pd.DataFrame, rng: np.random.Generator) -> Figures:
    """Print how measures before and after the first epoch predict those at the end."""
    print("**Early measures** (Spearman with the same measure at the end)\n")
    figures: Figures = {}
    lines = []
    for source in EARLY:
        column, true = MEASURES[source], MEASURES[source].replace(I, f"{I}/true_class", 1)
        # Before training, groups are the true classes: see docs/benchmarks/table.md.
        before = correlation(means[f"epoch_0/{column}"], means[true], rng)
        first = correlation(means[f"epoch_1/{column}"], means[column], rng)
        lines.append([source, str(before), str(first)])
        figures |= {f"epoch_0/{source}": before.rounded(), f"epoch_1/{source}": first.rounded()}
    first = correlation(means["epoch_1/error"], means["error"], rng)
    lines.append(["error", "", str(first)])
    print_table(["measure", "before training", "after 1 epoch"], lines)
    return figures


def print_operations(means: pd.DataFrame) -> None:
    """Print how each operation on each edge changes the rank of a measure at equal error."""
    cells = [parse_genotype(genotype) for genotype in means.index]
    chosen = np.array([[OPERATIONS.index(cell[edge]) for edge in EDGES] for cell in cells])
    for source in SOURCES:
        table = operation_effects(chosen, means[MEASURES[source]], means.error)
        print(f"**{source}: change of the percentile rank by an operation, at equal error**\n")
        lines = [
            [edge, *(f"{value:+.1f}" for value in row)]
            for edge, row in zip(EDGES, table, strict=True)
        ]
        print_table(["edge", *OPERATIONS], lines)


def print_fronts(means: pd.DataFrame) -> Figures:
    """Print the Pareto fronts of error and each source, and how much they have in common."""
    found = {source: fronts(means.error, means[MEASURES[source]]) for source in SOURCES}
    lines = []
    for source, rows in found.items():
        own, name = means[rows], MEASURES[source]
        ends = f"{own.error.min():.3f} to {own.error.max():.3f}"
        span = f"{own[name].min():.3f} to {own[name].max():.3f}"
        shared = [str(int((rows & found[other]).sum())) for other in SOURCES]
        lines.append([source, str(int(rows.sum())), ends, span, *shared])
    print("**Pareto fronts of error and introspectability**\n")
    heads = [f"shared with {source}" for source in SOURCES]
    print_table(["source", "networks", "error", I, *heads], lines)
    return {f"front/{source}": [int(rows.sum())] for source, rows in found.items()}


def main() -> None:
    """Print everything, and draw the fronts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path, help="table written by xnas-tf benchmark table")
    parser.add_argument("--figure", type=Path, help="file to draw the fronts into")
    options = parser.parse_args()
    rows = pd.read_csv(options.table)
    figures = findings(rows, np.random.default_rng(0))
    if options.figure:
        from benchmarks.table_figure import draw

        means = rows.groupby("arch").mean(numeric_only=True)
        draw(means, {source: MEASURES[source] for source in SOURCES}).savefig(options.figure)
    print(json.dumps({"table": options.table.name, "rows": len(rows), **figures}))


if __name__ == "__main__":
    main()
