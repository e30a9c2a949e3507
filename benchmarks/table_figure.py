"""Draws error against each measure of introspectability for all networks of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.table_statistics import fronts

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(means: pd.DataFrame, measures: Mapping[str, str]) -> Figure:
    """Draw a panel for each measure, with its Pareto front.

    Args:
        means: A row for each network.
        measures: Columns by title.
    """
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
