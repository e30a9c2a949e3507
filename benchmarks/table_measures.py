"""The measures of introspectability in a table of networks: comparable rows, and a figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.table_statistics import fronts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

I = "introspectability"  # noqa: E741
MEASURES = {
    "error": "error",
    "test error": "test_error",
    "calibration error": "calibration_error",
    "mean of the four sources": I,
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
POOLING = "avg_pool_3x3"


def of_complete_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the seeds with which all networks were trained; all rows if none was.

    Means over different numbers of seeds are not equally noisy, so they would not be comparable.
    """
    counts = rows.groupby("seed").arch.nunique()
    complete = counts.index[counts == rows.arch.nunique()]
    return rows[rows.seed.isin(complete)] if len(complete) else rows


def means_over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the means of each network's rows.

    A table has five significant digits, so means of equally many wrong images would differ from the
    seventh digit on, and one would be better than the other. They are rounded to the same number.
    """
    means = rows.groupby("arch").mean(numeric_only=True)
    return means.round({"error": 4, "test_error": 4})


def measured(means: pd.DataFrame, titles: Iterable[str] = MEASURES) -> dict[str, str]:
    """Return the columns of measures by title, without those that the table does not have."""
    return {title: MEASURES[title] for title in titles if MEASURES[title] in means}


def without_pooling(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of networks in which no edge pools."""
    return rows[~rows.arch.str.contains(POOLING)]


def by_seed(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a measure of the networks that were trained with all seeds, (networks, seeds)."""
    return rows.pivot(index="arch", columns="seed", values=column).dropna()


def draw(means: pd.DataFrame, measures: Mapping[str, str]) -> Figure:
    """Draw a panel for each measure (its column, by title) of networks, with its Pareto front."""
    from matplotlib.figure import Figure

    count = len(measures)
    figure = Figure(figsize=(8.5, 3.2 * ((count + 1) // 2)), layout="constrained", dpi=120)
    for place, (title, column) in enumerate(measures.items(), 1):
        axes = figure.add_subplot((count + 1) // 2, 2, place)
        axes.plot(means.error, means[column], ".", color="0.6", markersize=2, rasterized=True)
        front = means[fronts(means.error, means[column])].sort_values("error")
        axes.step(front.error, front[column], "o-", where="post", color="#c44e52", markersize=4)
        axes.set_title(f"{title}: {len(front)} of {len(means)} on the front")
        if means[column].min() < 0:
            axes.axhline(0, color="0.4", linewidth=0.8, linestyle=":")
        axes.set_xlabel("← validation error")
        axes.set_ylabel("introspectability →")
    return figure
