"""A run's candidates as tables for people and as text for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from xnas_tf.candidate import Candidate
from xnas_tf.run.directory import Run


def select(run: Run, everyone: bool) -> tuple[list[Candidate], set[int]]:
    """The candidates to list, Pareto-optimal ones first, and the ids of those.

    Args:
        run: The run.
        everyone: Whether dominated candidates are listed too.
    """
    front = run.pareto()
    ids = {candidate.id for candidate in front}
    rest = [c for c in run.candidates() if c.state == "done" and c.id not in ids]
    return front + (rest if everyone else []), ids


def pareto_table(run: Run, candidates: Sequence[Candidate], front: set[int]) -> Table:
    """A table of candidates, one a row; a star marks the Pareto-optimal ones."""
    names = [objective.name for objective in run.config.objectives]
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", justify="right")
    for objective in run.config.objectives:
        arrow = "↓" if objective.direction == "minimize" else "↑"
        table.add_column(f"{objective.name} {arrow}", justify="right", no_wrap=True)
    table.add_column("test accuracy", justify="right")
    table.add_column("parents")
    table.add_column("genotype", overflow="fold")
    for candidate in candidates:
        test = candidate.metrics.get("test_accuracy")
        table.add_row(
            f"{candidate.id}{'*' if candidate.id in front else ''}",
            *(format_value(candidate.objectives[name]) for name in names),
            f"{test:.2%}" if test is not None else "",
            ", ".join(map(str, candidate.parents)),
            Text(candidate.genotype),  # a user's text, not markup
        )
    return table


def format_value(value: float) -> str:
    """A number as a table shows it: whole numbers with commas, others to four digits."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 10 else f"{value:.4f}"


def pareto_json(run: Run, candidates: Sequence[Candidate], front: set[int]) -> str:
    """The candidates as JSON, for programs."""
    rows = [
        {
            "id": c.id,
            "genotype": c.genotype,
            "hyperparameters": c.hyperparameters,
            "objectives": {o.name: c.objectives[o.name] for o in run.config.objectives},
            "metrics": c.metrics,
            "parents": list(c.parents),
            "generation": c.generation,
            "pareto": c.id in front,
        }
        for c in candidates
    ]
    objectives = [{"name": o.name, "direction": o.direction} for o in run.config.objectives]
    return json.dumps(
        {"run": str(run.path), "objectives": objectives, "candidates": rows}, indent=2
    )


def pareto_csv(run: Run, candidates: Sequence[Candidate], front: set[int]) -> str:
    """The candidates as CSV with a header line."""
    names = [objective.name for objective in run.config.objectives]
    metrics = sorted({name for c in candidates for name in c.metrics} - set(names))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["id", "pareto", "generation", "parents", "genotype", *names, *metrics])
    for c in candidates:
        row: list[Any] = [c.id, c.id in front, c.generation, " ".join(map(str, c.parents))]
        row += [
            c.genotype,
            *(c.objectives[n] for n in names),
            *(c.metrics.get(n, "") for n in metrics),
        ]
        writer.writerow(row)
    return buffer.getvalue()
