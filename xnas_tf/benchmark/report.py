"""Reports a comparison as tables, as JSON, or as a plot of the shares still missing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.table import Table

from xnas_tf.benchmark.comparison import SHARES, Comparison
from xnas_tf.utils.pictures import save_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHECKPOINTS = (50, 100, 200, 400)
"""Numbers of trainings after which shares are listed, in addition to the total number."""
MIN_MISSING = 1e-4
"""Smallest missing share to draw, because the logarithm of 0 is undefined."""
TICKS = (0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
QUARTILES = {"median": 0.5, "lower_quartile": 0.25, "upper_quartile": 0.75}


def report_json(comparison: Comparison) -> str:
    """Return all results as JSON; training runs are null for shares that were not reached."""
    problem = comparison.problem
    facts = {
        "table": problem.table,
        "rows": len(problem.rows),
        "objectives": list(problem.objectives),
        "reference": problem.point,
        "hypervolume": problem.hypervolume,
        "seeds": comparison.seeds,
        "trainings": comparison.trainings,
        "algorithms": {name: _results(curves) for name, curves in comparison.curves.items()},
    }
    return json.dumps(facts, indent=2)


def report_tables(comparison: Comparison) -> list[Table]:
    """Return tables of shares by training runs, and training runs by share, for each algorithm."""
    problem, most = comparison.problem, comparison.trainings
    found = {name: _results(curves) for name, curves in comparison.curves.items()}
    checkpoints = [each["trainings"] for each in next(iter(found.values()))["hypervolume_share"]]
    about = (
        f"{problem.table}: {len(problem.rows):,} cells, {', '.join(problem.objectives)}, "
        f"reference {', '.join(f'{value:g}' for value in problem.point)}; "
        f"{comparison.seeds} seeds, median (quartiles)"
    )
    title = f"{about}; worst seed\nShare of the table's hypervolume after trainings"
    shares = _table(title, map(str, checkpoints))
    title = "Trainings to a share of the table's hypervolume; seeds that reached it"
    trainings = _table(title, (f"{share:.0%}" for share in SHARES))
    for name, results in found.items():
        cells = [
            "{median:.3f} ({lower_quartile:.3f}–{upper_quartile:.3f}); {min:.3f}".format(**each)
            for each in results["hypervolume_share"]
        ]
        shares.add_row(name, *cells)
        cells = []
        for each in results["trainings_to"]:
            texts = (f"> {most}" if each[q] is None else f"{each[q]:.0f}" for q in QUARTILES)
            reached = f"{each['reached']}/{comparison.seeds}"
            cells.append("{} ({}–{}); {}".format(*texts, reached))
        trainings.add_row(name, *cells)
    return [shares, trainings]


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    table.add_column("algorithm")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _results(curves: np.ndarray) -> dict[str, Any]:
    """Return an algorithm's shares at checkpoints, and the training runs that it needed.

    ``curves`` are shares after each training run, (seeds, trainings).
    """
    checkpoints = [*(c for c in CHECKPOINTS if c < curves.shape[1]), curves.shape[1]]
    shares, needed = [], []
    for count in checkpoints:
        values = curves[:, count - 1]
        shares.append({"trainings": count, **_quartiles(values), "min": float(values.min())})
    for share in SHARES:
        reached = curves >= share
        is_reached = reached.any(axis=1)
        values = np.where(is_reached, reached.argmax(axis=1) + 1.0, np.inf)
        needed.append({"share": share, **_quartiles(values), "reached": int(is_reached.sum())})
    return {"hypervolume_share": shares, "trainings_to": needed}


def _quartiles(values: np.ndarray) -> dict[str, float | None]:
    """Return the quartiles over seeds, interpolated linearly as NumPy does.

    Unlike in NumPy, a quartile next to an infinite value is None, and others are not.
    """
    ordered = np.sort(values)

    def quantile(q: float) -> float | None:
        position = q * (len(ordered) - 1)
        below, above = ordered[int(np.floor(position))], ordered[int(np.ceil(position))]
        value = below if below == above else below + (position % 1) * (above - below)
        return float(value) if np.isfinite(value) else None

    return {name: quantile(q) for name, q in QUARTILES.items()}


def comparison_figure(comparison: Comparison) -> Figure:
    """Plot the median over seeds of each algorithm, with a band between the quartiles.

    The vertical axis shows the missing share, 1 - share, on a logarithmic scale, because searches
    differ only in the last few percent.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    trainings = np.arange(1, comparison.trainings + 1)
    missing = {  # quartiles over seeds, (3, trainings)
        name: np.clip(1 - np.quantile(curves, (0.25, 0.5, 0.75), axis=0), MIN_MISSING, None)
        for name, curves in comparison.curves.items()
    }
    for index, (name, (most, median, least)) in enumerate(missing.items()):
        axis.fill_between(trainings, most, least, color=f"C{index}", alpha=0.18, lw=0)
        axis.plot(trainings, median, color=f"C{index}", lw=1.8, label=name)
    for share in SHARES:
        axis.axhline(1 - share, color="#606060", lw=0.9, ls="--", zorder=0)
    medians = np.array([median for _, median, _ in missing.values()])
    begin = min(5, comparison.trainings) - 1  # the first shares are not informative
    lowest, highest = min(medians.min(), 1 - SHARES[-1]), max(medians[:, begin].max(), 0.1)
    axis.set(yscale="log", ylim=(highest * 1.2, lowest / 1.5), xlim=(0, comparison.trainings))
    # The axis of missing shares is labelled with the shares that were found.
    axis.yaxis.set_major_locator(FixedLocator([1 - share for share in TICKS]))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * (1 - value):.4g}%"))
    axis.set(xlabel="trainings", ylabel="share of the table's hypervolume")
    axis.set_title(_title(comparison), fontsize=10)
    axis.grid(alpha=0.2)
    axis.legend(loc="lower right")
    return figure


def _title(comparison: Comparison) -> str:
    point = ", ".join(f"{value:g}" for value in comparison.problem.point)
    return (
        f"{comparison.problem.table}: {', '.join(comparison.problem.objectives)} "
        f"(reference {point})\nmedian and quartiles of {comparison.seeds} seeds"
    )


def save_comparison(comparison: Comparison, path: Path) -> None:
    """Save the plot of a comparison as a PNG file, or raise an ``InputError``."""
    save_png(comparison_figure(comparison), path, "--plot", dpi=150)
