"""A picture of a comparison: what is still missing of the hypervolume, against trainings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xnas_tf.benchmark.comparison import SHARES, Comparison
from xnas_tf.benchmark.report import reference
from xnas_tf.errors import InputError
from xnas_tf.report.figures import png

MOST, LEAST = 0.3, 1e-3
"""Shares of the hypervolume that may be missing at the axis' ends."""


def comparison_figure(comparison: Comparison):
    """Draws the median over seeds of each algorithm, with a band between the quartiles.

    The axis is that of the missing share, 1 - share, in logarithms: the last percents are what
    searches differ in.

    Returns:
        A matplotlib figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    trainings = np.arange(1, comparison.trainings + 1)
    for index, (name, curves) in enumerate(comparison.curves.items()):
        missing = np.clip(1 - np.quantile(curves, (0.25, 0.5, 0.75), axis=0), LEAST / 2, None)
        axis.fill_between(trainings, missing[0], missing[2], color=f"C{index}", alpha=0.18, lw=0)
        axis.plot(trainings, missing[1], color=f"C{index}", lw=1.8, label=name)
    for share in SHARES:
        axis.axhline(1 - share, color="#808080", lw=0.8, ls="--", zorder=0)
    axis.set(yscale="log", xlim=(0, comparison.trainings))
    axis.set_ylim(MOST, LEAST)
    axis.yaxis.set_major_locator(
        FixedLocator([0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.002, 0.001])
    )
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - value):.4g}%"))
    axis.set(xlabel="trainings", ylabel="hypervolume found (missing share in logarithms)")
    axis.set_title(_title(comparison), fontsize=10)
    axis.grid(alpha=0.2)
    axis.legend(loc="lower right")
    return figure


def _title(comparison: Comparison) -> str:
    point = ", ".join(f"{value:g}" for value in reference(comparison))
    return (
        f"{comparison.problem.table}: {', '.join(comparison.problem.objectives)} "
        f"(reference {point})\nmedian and quartiles of {comparison.seeds} seeds"
    )


def save_comparison(comparison: Comparison, path: Path) -> None:
    """Draws a comparison into a PNG file.

    Raises:
        InputError: If the file cannot be written.
    """
    picture = png(comparison_figure(comparison), dpi=150)
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise InputError(f"--plot {path} cannot be written: {error}") from error
