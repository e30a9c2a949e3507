"""Reports a comparison as tables or as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from xnas_tf.benchmark.comparison import SHARES, Comparison, quartiles


def report_tables(comparison: Comparison) -> list[Table]:
    """Return tables of shares by training runs, and training runs by share, for each algorithm."""
    problem = comparison.problem
    about = (
        f"{problem.table}: {len(problem.rows):,} cells, {', '.join(problem.objectives)}, "
        f"reference {', '.join(f'{value:g}' for value in problem.point)}; "
        f"{comparison.seeds} seeds, median (quartiles)"
    )
    shares = _table(
        f"{about}; worst seed\nShare of the table's hypervolume after trainings",
        [str(count) for count in comparison.checkpoints],
    )
    trainings = _table(
        "Trainings to a share of the table's hypervolume; seeds that reached it",
        [f"{share:.0%}" for share in SHARES],
    )
    for name in comparison.curves:
        shares.add_row(name, *(_share_cell(comparison, name, c) for c in comparison.checkpoints))
        trainings.add_row(name, *(_trainings_cell(comparison, name, share) for share in SHARES))
    return [shares, trainings]


def _table(title: str, columns: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
    table.add_column("algorithm")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _share_cell(comparison: Comparison, name: str, trainings: int) -> str:
    shares = comparison.share(name, trainings)
    low, middle, high = quartiles(shares)
    return f"{middle:.3f} ({low:.3f}–{high:.3f}); {shares.min():.3f}"


def _trainings_cell(comparison: Comparison, name: str, share: float) -> str:
    needed = comparison.trainings_to(name, share)
    low, middle, high = (
        f"{value:.0f}" if np.isfinite(value) else f"> {comparison.trainings}"
        for value in quartiles(needed)
    )
    return f"{middle} ({low}–{high}); {np.isfinite(needed).sum()}/{comparison.seeds}"


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
        "algorithms": {name: _summary(comparison, name) for name in comparison.curves},
    }
    return json.dumps(facts, indent=2)


def _summary(comparison: Comparison, name: str) -> dict[str, Any]:
    shares = {count: comparison.share(name, count) for count in comparison.checkpoints}
    needed = {share: comparison.trainings_to(name, share) for share in SHARES}
    return {
        "hypervolume_share": [
            {"trainings": count, **_numbers(values), "min": float(values.min())}
            for count, values in shares.items()
        ],
        "trainings_to": [
            {"share": share, **_numbers(values), "reached": int(np.isfinite(values).sum())}
            for share, values in needed.items()
        ],
    }


def _numbers(values: np.ndarray) -> dict[str, float | None]:
    low, middle, high = (value if np.isfinite(value) else None for value in quartiles(values))
    return {"median": middle, "lower_quartile": low, "upper_quartile": high}
