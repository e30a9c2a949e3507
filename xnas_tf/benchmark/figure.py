"""Plots a comparison: the share of the hypervolume still missing after each training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from xnas_tf.benchmark.comparison import SHARES, Comparison
from xnas_tf.utils.pictures import save_png

MIN_MISSING = 1e-4
"""Smallest missing share to draw, because the logarithm of 0 is undefined."""
TICKS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)


def comparison_figure(comparison: Comparison) -> Figure:
    """Plot the median over seeds of each algorithm, with a band between the quartiles.

    The vertical axis shows the missing share, 1 - share, on a logarithmic scale, because searches
    differ only in the last few percent.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    trainings = np.arange(1, comparison.trainings + 1)
    missing = {name: _missing(curves) for name, curves in comparison.curves.items()}
    for index, (name, (most, median, least)) in enumerate(missing.items()):
        axis.fill_between(trainings, most, least, color=f"C{index}", alpha=0.18, lw=0)
        axis.plot(trainings, median, color=f"C{index}", lw=1.8, label=name)
    for share in SHARES:
        axis.axhline(1 - share, color="#606060", lw=0.9, ls="--", zorder=0)
    medians = np.array([median for _, median, _ in missing.values()])
    begin = min(5, comparison.trainings) - 1  # the first shares are not informative
    lowest, highest = min(medians.min(), 1 - SHARES[-1]), max(medians[:, begin].max(), 0.1)
    axis.set(yscale="log", ylim=(highest * 1.2, lowest / 1.5), xlim=(0, comparison.trainings))
    _label_shares(axis.yaxis)
    axis.set(xlabel="trainings", ylabel="share of the table's hypervolume")
    axis.set_title(_title(comparison), fontsize=10)
    axis.grid(alpha=0.2)
    axis.legend(loc="lower right")
    return figure


def _missing(curves: np.ndarray) -> np.ndarray:
    """Return quartiles (3, trainings) of the missing share, given shares (seeds, trainings)."""
    return np.clip(1 - np.quantile(curves, (0.25, 0.5, 0.75), axis=0), MIN_MISSING, None)


def _label_shares(axis: Axis) -> None:
    """Label an axis of missing shares with the shares that were found."""
    axis.set_major_locator(FixedLocator([1 - share for share in TICKS]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - value):.4g}%"))


def _title(comparison: Comparison) -> str:
    point = ", ".join(f"{value:g}" for value in comparison.problem.point)
    return (
        f"{comparison.problem.table}: {', '.join(comparison.problem.objectives)} "
        f"(reference {point})\nmedian and quartiles of {comparison.seeds} seeds"
    )


def save_comparison(comparison: Comparison, path: Path) -> None:
    """Save the plot of a comparison as a PNG file, or raise an ``InputError``."""
    save_png(comparison_figure(comparison), path, "--plot", dpi=150)
