"""Reports a comparison as tables or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from xnas_tf.benchmark.comparison import SHARES, Comparison

CHECKPOINTS = (50, 100, 200, 400)
"""Numbers of trainings after which shares are listed, in addition to the total number."""
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
